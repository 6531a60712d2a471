"""Relaxation: all layers at once, at a rate."""

from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import answers, as_tol, check_fields, felt, held, inputs_of, is_still, one_step
from energyam.dynamics.update import AbstractUpdate, Step, Tick


class Relaxed(NamedTuple):
    """The carry of relaxation: the inputs x (none if activations leak), the fields at the state, and its
    energy."""

    inputs: PyTree[Array] | None
    field: PyTree[Array]
    energy: Float[Array, ""] | None


class Relaxation(AbstractUpdate):
    """All layers at once: each input x moves towards its field, and the layer answers it.

        x ← x + rate (field(g) − x),    g = respond(x)

    With `leak="output"` the activations are integrated in place of the inputs: g ← g + rate
    (respond(field(g)) − g), the Euler steps of dg/dt = −g + respond(field), as in rate models of cortex. The
    memory needs a field, and may have no energy.

    The energy falls for rates up to 1/(1 + λ‖W‖), where λ bounds how steeply the neurons respond and ‖W‖ is
    the norm of all couplings taken together; for larger rates it may rise. With a rate of 1 this is
    `Synchronous`. x starts at ∇R(g).

    **Arguments:** `rate`: positive. `decay`: whether x decays; without decay, x ← x + rate · field(g), as in
    the energy transformer, for layers of bounded values: then −potential falls for small rates, which is the
    energy without the cost R of the neurons. `leak`: `"input"` or `"output"`, which of the two decays. `tol`:
    at rest when no activation moves by more than tol · max(1, max|g|), nor would at a rate of 1 (with decay).

    Raises `ValueError` for others, and in `recall` for a memory without a potential or neurons.

    Krotov & Hopfield, ICLR 2021; Hoover et al., "Energy transformer", NeurIPS 2023 (without decay).

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]), neurons=eam.Tanh(2.0))
        >>> result = eam.recall(network, jnp.array([0.1, 0.2]), eam.Relaxation(0.5), max_steps=100)
        >>> np.asarray(result.state).round(3)  # the same rest as of g = tanh(2 g)
        array([0.958, 0.958], dtype=float32)
    """

    rate: Float[Array | float, ""] = eqx.field(converter=partial(checks.positive_float, "rate"))
    decay: bool = eqx.field(static=True, default=True, converter=partial(checks.flag, "decay"))
    tol: Float[ArrayLike, ""] = eqx.field(converter=as_tol, default=1e-6)
    leak: Literal["input", "output"] = eqx.field(static=True, default="input")
    repeats = True

    def __check_init__(self):
        checks.one_of("leak", self.leak, ("input", "output"))
        if self.leak == "output" and not self.decay:
            raise ValueError('decay must be True with leak="output", where the activations decay; got False')

    def prepare(self, memory: Any) -> Any:
        check_fields(memory, "Relaxation")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Relaxed:
        inputs = inputs_of(prepared, state) if self.leak == "input" else None
        return self._relaxed(prepared, state, inputs)

    def renewed(self, prepared: Any, state: PyTree[Array], carry: Relaxed, tick: Tick) -> Relaxed:
        return self._relaxed(prepared, state, carry.inputs)

    def energy(self, carry: Relaxed) -> Float[Array, ""] | None:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Relaxed, tick: Tick, clamp: Any) -> Step:
        aim = held(clamp, state, answers(prepared, carry.field, state))
        if self.leak == "output":
            inputs = None
            new = held(clamp, state, self._mixed(state, aim))
        else:
            inputs = self._mixed(carry.inputs, carry.field)
            new = held(clamp, state, answers(prepared, inputs, state))
        settled = is_still(new, state, self.tol)
        if self.decay:
            settled = settled & is_still(aim, state, self.tol)
        return one_step(new, self._relaxed(prepared, new, inputs), settled)

    def _mixed(self, now, aim):
        return jax.tree.map(lambda x, field: mixed(x, field, self.rate, self.decay), now, aim)

    def _relaxed(self, memory, state, inputs):
        found = felt(memory, state)
        return Relaxed(inputs, found.field(state), found.energy)


def mixed(x: Float[Array, "..."], field: Float[Array, "..."], rate: Array | float, decay: bool) -> Array:
    """x + rate (field − x), or x + rate · field without decay; at a rate of 1 exactly the field."""
    return (1 - rate) * x + rate * field if decay else x + rate * field
