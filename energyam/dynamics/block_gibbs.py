"""Block Gibbs: all neurons are drawn at once, given hidden units that are drawn given the neurons."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.abilities import ask
from energyam.dynamics.fields import one_step
from energyam.dynamics.heat_bath import Chain
from energyam.dynamics.states import declared_neurons
from energyam.dynamics.temperature import Temperature, as_temperature, at_step, check_schedule
from energyam.dynamics.update import AbstractUpdate, Step, Tick
from energyam.memories.hidden import AbstractRedraws, can_be_drawn


class BlockGibbs(AbstractUpdate):
    """Gibbs sampling by blocks: hidden units given the neurons, then all neurons at once given these.

        quadratic:     z ~ N(Ξx/√T, 1),     P(x_i = 1) = σ(2 (Ξᵀz)_i/√T)
        log-sum-exp:   μ ~ softmax(β Ξx),   x ~ exp(β ξ_μ · x):  attention that is sampled, not averaged
        layers:        each layer given the others, P(x_i = 1) = σ(2 field_i/T) for ±1 neurons

    Chains tend to exp(−E/T). A step costs two products with the patterns for any number of neurons, which
    suits accelerators. Near a pattern that dominates, chains stay for a long time, as those of any rule do.

    It serves memories whose hidden units are known: dense memories with `Quadratic()` or `LogSumExp`, of
    overlaps or distances, and ±1, 0/1, one-hot or real neurons; and a `HierarchicalMemory` whose synapses are
    linear in each layer (`Dense`, `Bias`, `Convolution`), such as a restricted Boltzmann machine. A
    log-sum-exp memory has hidden units only at some temperatures: T = 1, ½, ⅓, … for an `ExponentialDenseAM`,
    T = 1/β, 1/2β, … for others.

    **Arguments:** `temperature`: T above 0, or a schedule of the step. Raises `ValueError` for others; in
    `sample` and `recall` for another memory, a temperature at which it has no hidden units, or no key.

    Geman & Geman, IEEE PAMI 6 (1984).

        >>> memory = eam.ExponentialDenseAM(jnp.array([[1, 1, 1, 1]]), beta=0.5)
        >>> start = jnp.ones((200, 4), int)
        >>> samples = eam.sample(memory, start, eam.BlockGibbs(), 50, key=jr.key(0), discard=5)
        >>> bool(jnp.allclose(samples.states.mean((0, 1)), jnp.tanh(0.5), atol=0.03))
        True
    """

    temperature: Temperature = eqx.field(converter=as_temperature, default=1.0)

    def at(self, temperature: Float[Array, ""]) -> "BlockGibbs":
        return BlockGibbs(temperature)

    def check(self, memory: Any, num_steps: int) -> None:
        redraws = checks.now(_jitted_redraws, memory)
        redraws.check(check_schedule(self.temperature, num_steps))

    def prepare(self, memory: Any) -> AbstractRedraws:
        return _redraws(memory)

    def init(self, prepared: AbstractRedraws, state: PyTree[Array], tick: Tick) -> Chain:
        return _chain(prepared, state)

    def energy(self, carry: Chain) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Chain, tick: Tick, clamp: Any) -> Step:
        temperature = at_step(self.temperature, tick.index)
        state = prepared.redrawn(carry.kept, state, clamp, temperature, key=tick.own)
        return one_step(state, _chain(prepared, state))


def _redraws(memory):
    redraws = ask(memory, "redraws")
    if redraws is not None:
        return redraws
    for one in declared_neurons(memory):
        if not can_be_drawn(one):
            wanted = "neurons that can be drawn at a temperature for BlockGibbs"
            got = f"those of {type(memory).__name__} are {type(one).__name__}, which have no `draw`"
            raise ValueError(f"memory must have {wanted}; {got} (use eam.HeatBath or eam.Langevin)")
    wanted = "hidden units (under Quadratic() or LogSumExp, or layers with synapses linear in each)"
    got = f"{type(memory).__name__} (use eam.HeatBath or eam.Langevin)"
    raise ValueError(f"memory must have {wanted} for BlockGibbs; got {got}")


_jitted_redraws = eqx.filter_jit(_redraws)  # else a look at the temperatures sends numbers at each call


def _chain(redraws, state):
    kept = redraws.start(state)
    return Chain(redraws.energy(kept, state).astype(float), kept)
