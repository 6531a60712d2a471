"""Flips of a network whose couplings are edges: E(x) = −Σ_e w_e x_i x_j − bᵀx.

Neurons of one colour are decided at once, and the chains of a batch share what is gathered: a word holds the
bit of one neuron in 32 of them, so the neighbours of a neuron are looked up once for all these.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt

from energyam.flips.abstract import AbstractFlips, Change, Entries, Moving, Turns, Vector
from energyam.flips.colouring import Colouring
from energyam.flips.sweep import exceeds
from energyam.linalg import dot, power_of_two

_WORD = 32  # chains that share a word
_ROUNDINGS = 4  # units of rounding of a field, beside half a one for each of its terms


class SparseFlips(AbstractFlips):
    """Flips of a sparse network of two-valued neurons: what is kept is the energy alone.

    A field is `base` + Σ pulls · bits, over the bits of the neighbours.
    """

    colouring: Colouring
    places: Int[Array, " D"]  # of each neuron in its order
    pulls: Float[Array, "S T n"]
    base: Float[Array, "m n"]
    errors: Float[Array, "m n"]
    bias: Float[Array, " D"]
    size: Float[Array, ""]  # of a typical field
    values: tuple[float, float] = eqx.field(static=True)
    coloured = True

    def start(self, state: Float[Array, " D"]) -> Float[Array, ""]:
        return _energies_of_chains(self, state[None])[0]

    def energy(self, kept: Float[Array, ""], state: Float[Array, " D"]) -> Float[Array, ""]:
        return kept

    def change(self, kept: Float[Array, ""], state: Vector, i: Entries, step: Vector) -> Change:
        halfway = state if i.size == 1 else state.at[i].add(0.5 * step)
        one = jax.vmap(lambda j: self._field_at(halfway, j))
        field, error = one(i)
        return Change(dot(step, field), dot(jnp.abs(step), error))

    def move(self, kept: Float[Array, ""], state: Vector, i: Entries, step: Vector) -> Float[Array, ""]:
        return self.attempt(kept, state, i, step)[1]

    def attempt(
        self, kept: Float[Array, ""], state: Vector, i: Entries, step: Vector
    ) -> tuple[Change, Float[Array, ""]]:
        change = self.change(kept, state, i, step)
        return change, kept - change.value

    def colours(self) -> Int[Array, " D"]:
        return jnp.asarray(self.colouring.order)

    def by_colour(self, kept: Float[Array, ""], neurons: Moving, thresholds: Float[Array, " D"]) -> Turns:
        given = neurons.state[None], neurons.free[None], thresholds[None]
        state, moved, gains = (found[0] for found in _moves_of_chains(self, *given))
        return Turns(state, kept - jnp.sum(gains), moved, gains)

    def own_couplings(self) -> Float[Array, " D"]:
        return jnp.zeros_like(self.bias)

    def typical_field(self) -> Float[Array, ""]:
        return self.size

    def _field_at(self, state, i):
        """The field at one neuron, and its error."""
        place, (low, high), found = self.places[i], self.values, self.colouring
        block = jnp.searchsorted(found.starts, place, side="right") - 1
        at = place - found.starts[block]

        def add(step, field):
            bits = (state[found.order[found.neighbours[step, :, at]]] - low) / (high - low)
            return field + dot(self.pulls[step, :, at], bits)

        steps = found.firsts[block], found.firsts[block + 1]
        return lax.fori_loop(*steps, add, self.base[block, at]), self.errors[block, at]


def sparse_flips(
    weights: Float[Array, " E"],
    bias: Float[Array, " D"] | None,
    colouring: Colouring,
    values: tuple[float | int, float | int],
) -> SparseFlips:
    """The flips of a network of edges, for neurons of two values."""
    dtype = jnp.promote_types(weights.dtype, jnp.result_type(float))
    order, D, m = colouring.order, colouring.order.shape[0], colouring.starts.shape[0]
    bias = jnp.zeros(D, dtype) if bias is None else bias.astype(dtype)
    weights, (low, high) = jnp.append(weights.astype(dtype), 0), map(float, values)
    pulls = weights[colouring.edges]
    in_blocks = lambda sums: jax.ops.segment_sum(jnp.sum(sums, axis=1), colouring.blocks, m)  # noqa: E731
    at = colouring.starts[:, None] + jnp.arange(pulls.shape[2])[None]
    own, terms = bias[order].at[at].get(mode="fill", fill_value=0), in_blocks((pulls != 0).astype(dtype))
    sizes = jnp.abs(own) + (abs(low) + high - low) * in_blocks(jnp.abs(pulls))
    errors = (_ROUNDINGS + 0.5 * terms) * jnp.finfo(dtype).eps * sizes
    scale = power_of_two(weights, bias).astype(bias.dtype)
    size = scale * jnp.sqrt(2 * jnp.sum((weights / scale) ** 2) / D + jnp.mean((bias / scale) ** 2))
    places = jnp.zeros_like(order).at[order].set(jnp.arange(D, dtype=order.dtype))
    base = own + low * in_blocks(pulls)
    return SparseFlips(colouring, places, (high - low) * pulls, base, errors, bias, size, (low, high))


class _Words(NamedTuple):
    """States of W · L chains: bit l of word w is the neuron's in chain w · L + l."""

    words: UInt[Array, "W D"]
    lanes: UInt[Array, "L 1"]


class _Block(NamedTuple):
    """One block, or all of them: its places, its steps, and the numbers of its neurons."""

    start: Int[Array, "..."]
    size: Int[Array, "..."]
    first: Int[Array, "..."]
    end: Int[Array, "..."]
    base: Float[Array, "... n"]
    errors: Float[Array, "... n"]

    def of(self, values: Array) -> Array:
        """The values of its places, and of those after it where it is smaller than others."""
        return lax.dynamic_slice_in_dim(values, self.start, self.base.shape[0], -1)

    def within(self, values: Array, new: Array) -> Array:
        """The values with those of the block, and a few after it, in place of the old."""
        return lax.dynamic_update_slice_in_dim(values, new, self.start, -1)

    def inside(self) -> Bool[Array, "1 1 n"]:
        """Which of these places are its own."""
        return (jnp.arange(self.base.shape[0]) < self.size)[None, None]


def _packed(bits: Bool[Array, "B D"]) -> _Words:
    B = bits.shape[0]
    W = -(-B // _WORD)
    L = -(-B // W)
    lanes = jnp.arange(L, dtype=jnp.uint32)[:, None]
    bits = jnp.pad(bits, [(0, W * L - B), (0, 0)]).reshape(W, L, -1)
    return _Words(_joined(bits, lanes), lanes)


def _joined(bits, lanes):
    """Bits (W, L, n) as words (W, n)."""
    return jnp.sum(bits.astype(jnp.uint32) << lanes[None], axis=1, dtype=jnp.uint32)


def _split(words, lanes):
    """Words (W, n) as bits (W, L, n)."""
    return (words[:, None] >> lanes[None]) & jnp.uint32(1)


def _by_lane(values, at):
    """Numbers of the chains, (B, n), as (W, L, n); one row for all of them, (1, n), as (1, 1, n)."""
    if values.shape[0] == 1:
        return values[None]
    W, L = at.words.shape[0], at.lanes.shape[0]
    return jnp.pad(values, [(0, W * L - values.shape[0]), (0, 0)]).reshape(W, L, -1)


def _begun(flips, states):
    """The words of all chains by place, with room for a block at the end, and how to make such room."""
    low, high = flips.values
    at = _packed(states > 0.5 * (low + high))
    room = flips.base.shape[1]
    widened = lambda values: jnp.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, room)])  # noqa: E731
    return at._replace(words=widened(at.words[:, flips.colouring.order])), widened


def _over_blocks(flips, lanes, function, carry):
    """`function(carry, block, fields)` for every block in its turn, `carry[0]` being the words.

    The fields (W, L, n) are those of its neurons after all blocks before it.
    """
    found, S = flips.colouring, flips.pulls.shape[0]

    def of_block(carry, block):
        words, m = carry[0], found.starts.shape[0]
        rows = words.shape[1] * jnp.arange(words.shape[0], dtype=jnp.int32)[:, None, None]

        def add(step, fields):
            # By one index into all words, so that what is gathered lies neuron by neuron; the barrier keeps
            # XLA from gathering it anew for each chain.
            at = rows + found.neighbours[step][None]
            seen = lax.optimization_barrier(words.reshape(-1).at[at].get(mode="promise_in_bounds"))
            for t in range(seen.shape[1]):
                fields = fields + flips.pulls[step, t][None, None] * _split(seen[:, t], lanes).astype(
                    fields.dtype
                )
            return fields

        fields = jnp.broadcast_to(block.base, (words.shape[0], lanes.shape[0], block.base.shape[0]))
        fields = add(block.first, fields) if S == m else lax.fori_loop(block.first, block.end, add, fields)
        return function(carry, block, fields), None

    blocks = _Block(
        found.starts, found.sizes, *(found.firsts[:-1], found.firsts[1:]), flips.base, flips.errors
    )
    return lax.scan(of_block, carry, blocks)[0]


def _moves(flips, states, free, thresholds):
    at, widened = _begun(flips, states)
    (low, high), (B, D) = flips.values, states.shape
    free = widened(_by_lane(free[:, flips.colouring.order], at))
    thresholds = widened(_by_lane(thresholds, at))
    nothing = widened(jnp.zeros((*at.words.shape[:1], at.lanes.shape[0], D), flips.bias.dtype))

    def decide(carry, block, fields):
        words, gains, moved = carry
        old, free_here, threshold = (block.of(values) for values in (words, free, thresholds))
        up = jnp.asarray(high - low, fields.dtype)
        change = jnp.where(_split(old, at.lanes) == 1, -up, up) * fields
        change = lax.optimization_barrier(change)  # or XLA would sum the fields for each use
        falls = exceeds(Change(change, up * block.errors[None, None]), threshold) & free_here & block.inside()
        words = block.within(words, old ^ _joined(falls, at.lanes))
        return words, block.within(gains, jnp.where(falls, change, 0)), block.within(moved, falls)

    words, gains, moved = _over_blocks(flips, at.lanes, decide, (at.words, nothing, nothing != 0))
    by_chain = lambda values: values[..., :D].reshape(-1, D)[:B]  # noqa: E731
    bits = by_chain(_split(words[:, flips.places], at.lanes))
    return jnp.where(bits == 1, high, low).astype(states.dtype), by_chain(moved), by_chain(gains)


def _energies(flips, states):
    at, widened = _begun(flips, states)
    bias, (low, high) = widened(flips.bias[flips.colouring.order]), flips.values

    def add(carry, block, fields):
        x = jnp.where(_split(block.of(carry[0]), at.lanes) == 1, high, low).astype(fields.dtype)
        felt = jnp.where(block.inside(), fields + block.of(bias)[None, None], 0)
        return carry[0], carry[1] - 0.5 * jnp.sum(x * felt, axis=-1)

    nothing = jnp.zeros((at.words.shape[0], at.lanes.shape[0]), flips.bias.dtype)
    return _over_blocks(flips, at.lanes, add, (at.words, nothing))[1].reshape(-1)[: states.shape[0]]


def _together(function):
    """`function(flips, states, …)` of the chains (B, …), so that all chains of a `vmap` make one batch."""
    run = jax.custom_batching.custom_vmap(function)

    @run.def_vmap
    def of_more(size, batched, flips, *arrays):
        if any(jax.tree.leaves(batched[0])):  # networks of their own
            axes = jax.tree.map(lambda one: 0 if one else None, tuple(batched))
            found = jax.vmap(function, in_axes=axes, axis_size=size)(flips, *arrays)
            return found, jax.tree.map(lambda _: True, found)
        B = arrays[0].shape[-2]

        def merged(array, batched, shared):
            if shared and not batched and array.shape[0] == 1:
                return array
            array = array if batched else array[None]
            return jnp.broadcast_to(array, (size, B, array.shape[-1])).reshape(size * B, -1)

        given = [merged(a, b, k > 0) for k, (a, b) in enumerate(zip(arrays, batched[1:], strict=True))]
        found = jax.tree.map(lambda leaf: leaf.reshape(size, B, *leaf.shape[1:]), run(flips, *given))
        return found, jax.tree.map(lambda _: True, found)

    return run


_moves_of_chains, _energies_of_chains = _together(_moves), _together(_energies)
