"""Line search: all layers at once, as far as the energy falls."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam.dynamics import fields
from energyam.dynamics.fields import Felt, as_tol, felt, held, is_still, one_step
from energyam.dynamics.gradient import check_real
from energyam.dynamics.update import AbstractUpdate, Step, Tick
from energyam.flips.derived import scalar_energy

_HALVINGS = 30  # of the step: 1, ½, ¼, …, below which floats do not tell the states apart
_ENOUGH = 1e-4  # of the fall that the slope promises


class LineSearch(AbstractUpdate):
    """All layers at once, towards their answers, as far as the energy falls: it never rises.

        a = respond(field(g)),    g ← g + t (a − g),    t the first of 1, ½, ¼, … with
        E(g + t (a − g)) ≤ E(g) + 10⁻⁴ t Δ and below E(g),    Δ = R(a) − R(g) − field · (a − g) ≤ 0

    Δ bounds the slope of the energy along the way, as R is convex, and is 0 only at rest. If there is no such
    t, the fall is below the rounding of the energy, and the state is settled. The potential may be any
    function.

    **Arguments:** `tol`: at rest when no answer differs from its neuron by more than tol · max(1, max|g|).
    Raises `ValueError` for others; in `recall` for a memory without a potential, or with ±1 neurons.

    Armijo, Pacific Journal of Mathematics 16 (1966); Bredies et al., Computational Optimization and
    Applications 42 (2009), for such directions.

        >>> layers = {"a": eam.Tanh(1.0, (2,)), "b": eam.Tanh(1.0, (2,))}
        >>> memory = eam.HierarchicalMemory(layers, [(eam.synapses.Dense(2 * jnp.eye(2)), ("a", "b"))])
        >>> start = {"a": jnp.array([0.1, -0.1]), "b": jnp.zeros(2)}
        >>> result = eam.recall(memory, start, eam.LineSearch(), max_steps=100)
        >>> np.asarray(result.state["b"]).round(3), bool((jnp.diff(result.energies) <= 0).all())
        (array([ 0.957, -0.957], dtype=float32), True)
    """

    tol: Float[ArrayLike, ""] = eqx.field(converter=as_tol, default=1e-6)
    repeats = True

    def prepare(self, memory: Any) -> Any:
        check_real(memory, "LineSearch")
        fields.check_fields(memory, "LineSearch", energy=True)
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Felt:
        return felt(prepared, state)

    def renewed(self, prepared: Any, state: PyTree[Array], carry: Felt, tick: Tick) -> Felt:
        return felt(prepared, state)

    def energy(self, carry: Felt) -> Float[Array, ""] | None:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Felt, tick: Tick, clamp: Any) -> Step:
        field = carry.field(state)
        aim = held(clamp, state, fields.answers(prepared, field, state))
        length = lax.stop_gradient(_length(prepared, state, aim, carry.energy, field, clamp))
        new = _between(prepared, state, aim, length, clamp)
        return one_step(new, felt(prepared, new), is_still(aim, state, self.tol) | (length == 0))


def _between(memory, state, aim, length, clamp):
    """g + t (a − g), at the nearest states that the neurons can take; exactly `state` for t = 0."""
    nearer = jax.tree.map(lambda g, a: g + length * (a - g), state, aim)
    new = held(clamp, state, fields.retracted(memory, nearer))
    return jax.tree.map(lambda new, old: jnp.where(length > 0, new, old), new, state)


def _length(memory, state, aim, energy, field, clamp):
    """How far the search goes, 0 where no step lowers the energy. Derivatives don't pass through it."""
    arrays, rest = eqx.partition((memory, state, aim, energy, field), eqx.is_inexact_array)
    memory, state, aim, start, field = eqx.combine(jax.tree.map(lax.stop_gradient, arrays), rest)
    energy_of = scalar_energy(memory)
    products = jax.tree.map(lambda f, a, g: jnp.sum(f * (a - g)), field, aim, state)
    promised = fields.cost(memory, aim) - fields.cost(memory, state) - sum(jax.tree.leaves(products))
    promised = jnp.minimum(promised, 0)

    def is_enough(length, energy):
        # Strictly lower, also where the promise is below the rounding; a NaN is not.
        return (energy < start) & (energy <= start + _ENOUGH * length * promised)

    # The first of 1, ½, ¼, … that lowers the energy enough.
    def too_far(at):
        return ~is_enough(*at) & (at[0] > 0.5**_HALVINGS)

    def halve(at):
        length = at[0] / 2
        return length, energy_of(_between(memory, state, aim, length, clamp))

    one = jnp.ones_like(start)
    first = one, energy_of(_between(memory, state, aim, one, clamp))
    length, energy = lax.while_loop(too_far, halve, first)
    return jnp.where(is_enough(length, energy), length, 0)
