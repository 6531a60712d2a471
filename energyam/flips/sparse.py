"""Flips of a network whose couplings are edges: E(x) = −Σ_e w_e x_i x_j − bᵀx.

Neurons of one colour are decided at once, and the chains of a batch share what is gathered: a word holds the
bit of one neuron in 32 of them, so the neighbours of a neuron are looked up once for all these.
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt

from energyam.flips.abstract import AbstractFlips, Change, Entries, Moving, Turns, Vector
from energyam.flips.colouring import Colouring
from energyam.flips.noise import Noise
from energyam.flips.sweep import exceeds
from energyam.linalg import dot, float_dtype, power_of_two

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
    constant: Float[Array, ""]  # which every energy has beside the rest
    values: tuple[float, float] = eqx.field(static=True)
    coloured = True

    def start(self, state: Float[Array, " D"]) -> Float[Array, ""]:
        return self.constant + _together(_energies)(self, state[None])[0, 0]

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

    def by_colour(self, kept: Float[Array, ""], neurons: Moving, noise: Noise | None) -> Turns:
        given = [neurons.state[None], neurons.free[None]]
        if noise is not None:
            given += [noise.key[None], noise.temperature[None, None]]
        moves = _together(functools.partial(_moves, None if noise is None else noise.threshold))
        state, total, gains = (found[0] for found in moves(self, *given))
        return Turns(state, kept - total[0], total[0], gains)

    def widened(self, values: Int[Array, " D"]) -> Int[Array, " _"]:
        """The values with room for a block at the end."""
        return jnp.pad(values, (0, self.base.shape[1]))

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
    dtype = float_dtype(weights.dtype)
    order, D, m = colouring.order, colouring.order.shape[0], colouring.starts.shape[0]
    bias = jnp.zeros(D, dtype) if bias is None else bias.astype(dtype)
    weights, (low, high) = jnp.append(weights.astype(dtype), 0), map(float, values)
    pulls = weights[colouring.edges]
    in_blocks = lambda sums: jax.ops.segment_sum(jnp.sum(sums, axis=1), colouring.blocks, m)  # noqa: E731
    at = colouring.starts[:, None] + jnp.arange(pulls.shape[2], dtype=order.dtype)[None]
    own, terms = bias[order].at[at].get(mode="fill", fill_value=0), in_blocks((pulls != 0).astype(dtype))
    sizes = jnp.abs(own) + (abs(low) + high - low) * in_blocks(jnp.abs(pulls))
    errors = (_ROUNDINGS + 0.5 * terms) * jnp.finfo(dtype).eps * sizes
    scale = power_of_two(weights, bias).astype(bias.dtype)
    size = scale * jnp.sqrt(2 * jnp.sum((weights / scale) ** 2) / D + jnp.mean((bias / scale) ** 2))
    places = jnp.zeros_like(order).at[order].set(jnp.arange(D, dtype=order.dtype))
    base = own + low * in_blocks(pulls)
    pulls, none = (high - low) * pulls, jnp.zeros((), dtype)
    return SparseFlips(colouring, places, pulls, base, errors, bias, size, none, (low, high))


class _Words(NamedTuple):
    """States of W · L chains: bit l of word w, which lanes[l] = 2^l has alone, is that of chain w · L + l."""

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

    def inside(self) -> Bool[Array, " n"]:
        """Which of these places are its own."""
        return jnp.arange(self.base.shape[0], dtype=self.size.dtype) < self.size


def _packed(flips, states):
    """The words of all chains by place, with room for a block at the end."""
    (low, high), B = flips.values, states.shape[0]
    W = -(-B // _WORD)
    L = -(-B // W)
    bits = (jnp.pad(states, [(0, W * L - B), (0, 0)], constant_values=low) - low) / (high - low)
    # Sums of powers of two, 16 bits each, which floats hold; as products of matrices they fill whole rows.
    lanes = jnp.arange(L)
    powers = (1 << lanes % 16).astype(float)  # by a shift: accelerators round 2 to the power of a float
    halves = jnp.zeros((W, 2, L)).at[:, lanes // 16, lanes].set(powers)
    upper_and_lower = dot(halves, bits.reshape(W, L, -1)).astype(jnp.uint32)
    words = upper_and_lower[:, 0] | upper_and_lower[:, 1] << np.uint32(16)
    return _Words(
        words[:, flips.widened(flips.colouring.order)],
        np.uint32(1) << jnp.arange(L, dtype=jnp.uint32)[:, None],
    )


def _joined(bits):
    """Bits (W, L, n) as words (W, n), lane by lane: XLA's own sum over lanes takes one number at a time."""
    words = bits[:, 0].astype(jnp.uint32)
    for lane in range(1, bits.shape[1]):
        words = words | bits[:, lane].astype(jnp.uint32) << np.uint32(lane)
    return words


def _split(words, lanes):
    """Words (W, n) as bools (W, L, n)."""
    return (words[:, None] & lanes[None]) != 0


def _by_lane(values, at):
    """Numbers of the chains, (B, n), as (W, L, n); one row for all of them, (1, n), as (1, 1, n)."""
    if values.shape[0] == 1:
        return values[None]
    W, L = at.words.shape[0], at.lanes.shape[0]
    return jnp.pad(values, [(0, W * L - values.shape[0]), (0, 0)]).reshape(W, L, -1)


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
                pulls = flips.pulls[step, t][None, None]
                fields = fields + jnp.where(_split(seen[:, t], lanes), pulls, jnp.zeros_like(pulls))
            return fields

        fields = jnp.broadcast_to(block.base, (words.shape[0], lanes.shape[0], block.base.shape[0]))
        fields = add(block.first, fields) if S == m else lax.fori_loop(block.first, block.end, add, fields)
        return function(carry, block, fields), None

    blocks = _Block(
        found.starts, found.sizes, *(found.firsts[:-1], found.firsts[1:]), flips.base, flips.errors
    )
    return lax.scan(of_block, carry, blocks)[0]


def _moves(threshold, flips, states, free, keys=None, temperatures=None):
    at, (low, high), (B, D) = _packed(flips, states), flips.values, states.shape
    chains, dtype = (at.words.shape[0], at.lanes.shape[0]), flips.bias.dtype
    free = free[:, flips.widened(flips.colouring.order)]
    free = free[None] if free.shape[0] == 1 else _by_lane(free, at)
    noise = None
    if keys is not None:
        words = jnp.stack([_by_lane(keys[:, word : word + 1], at) for word in (0, 1)])
        noise = Noise(words, _by_lane(temperatures, at), threshold)

    def decide(carry, block, fields):
        words, total, gains = carry
        old = block.of(words)
        up = jnp.asarray(high - low, fields.dtype)
        change = jnp.where(_split(old, at.lanes), -up, up) * fields
        least = jnp.zeros((), change.dtype)
        if noise is not None:
            least = noise.at(
                block.start + jnp.arange(fields.shape[-1], dtype=block.start.dtype)[None, None], change.dtype
            )
        falls = exceeds(Change(change, up * block.errors[None, None]), least)
        falls = falls & block.of(free) & block.inside()[None, None]
        gained = jnp.where(falls, change, 0)
        words = block.within(words, old ^ _joined(falls))
        return words, total + jnp.sum(gained, axis=-1), block.within(gains, gained)

    nothing = jnp.zeros((*chains, D + flips.base.shape[1]), dtype)
    words, total, gains = _over_blocks(flips, at.lanes, decide, (at.words, jnp.zeros(chains, dtype), nothing))
    by_chain = lambda values: values.reshape(-1, values.shape[-1])[:B]  # noqa: E731
    bits = by_chain(_split(words[:, flips.places], at.lanes))
    states = jnp.where(bits, high, low).astype(states.dtype)
    return states, by_chain(total[..., None]), by_chain(gains[..., :D])


def _energies(flips, states):
    at, (low, high) = _packed(flips, states), flips.values
    bias = flips.bias[flips.widened(flips.colouring.order)]

    def add(carry, block, fields):
        x = jnp.where(_split(block.of(carry[0]), at.lanes), high, low).astype(fields.dtype)
        felt = jnp.where(block.inside()[None, None], fields + block.of(bias)[None, None], 0)
        return carry[0], carry[1] - 0.5 * jnp.sum(x * felt, axis=-1)

    nothing = jnp.zeros((at.words.shape[0], at.lanes.shape[0]), flips.bias.dtype)
    return _over_blocks(flips, at.lanes, add, (at.words, nothing))[1].reshape(-1, 1)[: states.shape[0]]


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
