"""Asynchronous recall: one neuron at a time, until a sweep proves a local minimum."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from energyam.dynamics.moves import Ready, check_moves, ready, view_of, without_gradient
from energyam.dynamics.states import as_working, check_memory, checked_clamp, checked_states, layers_of
from energyam.dynamics.update import AbstractUpdate, Step, Tick, as_flips, checked_order
from energyam.flips.sweep import descend
from energyam.flips.units import descend_units

_SMOOTH = "for real neurons look at jax.grad(memory.energy)(state), which is 0 where the energy is level"


class Asynchronous(AbstractUpdate):
    """One neuron at a time: each moves if, and only if, the energy falls. One step tries D neurons.

    A sweep that visits every neuron and moves none proves a local minimum: exactly if the memory declares
    exact changes, and within the rounding of the energy if it has only an energy. The order is drawn once per
    step and shared by the queries of a batch, so that a query gives the same result alone and in a batch.
    Neurons of two values flip; one-hot units go to the best of their other values. Layers of other neurons
    must be clamped. In a memory with a field and no energy the neurons follow the field, one at a time.

    **Arguments:** `order`: `"colours"`, every neuron once, all neurons of a colour together, in a network
    with colours (`SparseNetwork`), and as `"permutation"` in others; `"permutation"`, every neuron once in a
    fresh random order; `"sequential"`, every neuron once from first to last; `"uniform"`, D draws with
    replacement, which leave out a share 1/e of the neurons in each step (convergence is then proved by
    testing every neuron).

    Raises `ValueError` for another order; in `recall` for a memory whose neurons don't move from value to
    value; and where a gradient is taken through it, as flips have none.

    Hopfield, PNAS 79 (1982).

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]]))
        >>> query = jnp.array([-1, 1, 1, 1, -1, -1, -1, -1])
        >>> result = eam.recall(memory, query, eam.Asynchronous("sequential"))
        >>> result.record.indices[0].tolist()  # in the first sweep neuron 0 flipped, and no other
        [0, -1, -1, -1, -1, -1, -1, -1]
    """

    order: Literal["colours", "permutation", "uniform", "sequential"] = eqx.field(
        static=True, default="colours", converter=checked_order
    )
    moves_neurons = True

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        return self.order == "sequential"

    def prepare(self, memory: Any) -> Ready:
        instead = "use eam.Synchronous() or eam.GradientDescent(step_size)"
        check_moves(memory, "Asynchronous", instead, energy=False)
        return ready(without_gradient(memory))

    def init(self, prepared: Ready, state: PyTree[Array], tick: Tick) -> Float[Array, ""]:
        view = view_of(prepared, without_gradient(state))
        return view.flips.energy(view.flips.start(view.neurons.state), view.neurons.state)

    def renewed(self, prepared: Ready, state: PyTree[Array], carry: Any, tick: Tick) -> Float[Array, ""]:
        return self.init(prepared, state, tick)

    def energy(self, carry: Float[Array, ""]) -> Float[Array, ""]:
        return carry

    def step(self, prepared: Ready, state: PyTree[Array], carry: Any, tick: Tick, clamp: Any) -> Step:
        view, once = view_of(prepared, state, clamp), self.order != "uniform"
        order = view.order(self.order, tick)
        if view.units is None or order is None:
            swept = descend(view.flips, view.neurons, carry, order, once)
        else:
            swept = descend_units(view.flips, view.units, view.neurons, carry, order)
        settled = (swept.flips < 0).all()
        if not once:
            settled = settled & ~view.any_descent()[0]
        record, energies = (
            as_flips(swept.flips, view.neurons.state.size),
            swept.energies if view.has_energy else None,
        )
        return Step(view.rebuild(swept.state), swept.energy, energies, record, settled)


def is_local_minimum(memory: Any, state: PyTree[ArrayLike], clamp: Any = None) -> Bool[Array, "*batch"]:
    """Whether no move of a single free neuron, or one-hot unit, lowers the energy of `state`.

    Layers of neurons that don't move from value to value are held fixed.

    The answer is exact if the memory declares exact changes, as all memories of this library do for patterns
    ±1, and costs O(K·D) for one state; otherwise it holds within the rounding of the energy. A state whose
    energy is not finite is no minimum.

    **Arguments:** `state` (*batch, D), or a pytree of layers; `clamp`: neurons that may not flip, as in
    `recall`. Raises `ValueError` for a memory without ±1 neurons, or states of another shape or not ±1.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, 1]]))
        >>> eam.is_local_minimum(memory, jnp.array([[1, 1, 1, 1], [1, 1, 1, -1]]))
        Array([ True, False], dtype=bool)
    """
    check_memory(memory)
    check_moves(memory, "a local minimum", _SMOOTH)
    layers = layers_of(memory, state, True, "state")
    batch = checked_states(layers, state, "state")
    held, clamp_batched = (None, False) if clamp is None else checked_clamp(layers, clamp, batch.axes)
    return _is_local_minimum(memory, batch.states, batch.axes, held, clamp_batched)


@eqx.filter_jit
def _is_local_minimum(memory, states, axes, clamp, clamp_batched):
    memory, states = _stop_gradient((memory, states))  # of a bool there is none
    prepared = ready(memory)

    def certify(state, clamp):
        lower, energy = view_of(prepared, state, clamp).any_descent()
        return ~lower & jnp.isfinite(energy)

    working = as_working(states, axes)
    if not axes:
        return certify(working, clamp)
    return jax.vmap(certify, in_axes=(0, 0 if clamp_batched else None))(working, clamp).reshape(axes)


def _stop_gradient(tree):
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)
