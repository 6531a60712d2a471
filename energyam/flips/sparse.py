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

from energyam.flips.abstract import AbstractFlips, Change, Entries, Moving, Turns, Vector, exceeds
from energyam.flips.colouring import Blocks, Colouring
from energyam.linalg import dot

_WORD = 32  # chains that share a word
_TERMS = 16  # neighbours that one fused loop sums
_UNROLLED = 4  # blocks of one shape that are not worth a loop
_ROUNDINGS = 4  # units of rounding of a field, beside half a one for each of its terms


class Table(eqx.Module):
    """Blocks with their numbers: a field is `base` + Σ_k pulls_k · bit_k, by the bits of the neighbours."""

    blocks: Blocks
    pulls: Float[Array, "m k n"]
    base: Float[Array, "m n"]
    errors: Float[Array, "m n"]


class SparseFlips(AbstractFlips):
    """Flips of a sparse network of two-valued neurons: what is kept is the energy alone."""

    order: Int[Array, " D"]  # colour by colour
    places: Int[Array, " D"]  # of each neuron in that order
    tables: tuple[Table, ...]
    bias: Float[Array, " D"]
    size: Float[Array, ""]  # a typical field
    values: tuple[float, float] = eqx.field(static=True)

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
        return self.order

    def by_colour(self, kept: Float[Array, ""], neurons: Moving, thresholds: Float[Array, " D"]) -> Turns:
        given = neurons.state[None], neurons.free[None], thresholds[None]
        state, moved, gains = (found[0] for found in _moves_of_chains(self, *given))
        return Turns(state, kept - jnp.sum(gains), moved, gains)

    def own_couplings(self) -> Float[Array, " D"]:
        return jnp.zeros_like(self.bias)

    def typical_field(self) -> Float[Array, ""]:
        return self.size

    def _field_at(self, state, j):
        """The field at one neuron, and its error."""
        place, low = self.places[j], self.values[0]
        span = self.values[1] - low

        def within(table):
            block = jnp.searchsorted(table.blocks.starts, place, side="right") - 1
            at = place - table.blocks.starts[block]
            others = self.order[table.blocks.neighbours[block, :, at]]
            bits = (state[others] - low) / span
            field = table.base[block, at] + dot(table.pulls[block, : others.shape[0], at], bits)
            return field, table.errors[block, at]

        firsts = jnp.stack([table.blocks.starts[0] for table in self.tables])
        which = jnp.searchsorted(firsts, place, side="right") - 1
        return lax.switch(which, [lambda table=table: within(table) for table in self.tables])


def sparse_flips(
    weights: Float[Array, " E"],
    bias: Float[Array, " D"] | None,
    colouring: Colouring,
    values: tuple[float, float],
) -> SparseFlips:
    """The flips of a network of edges, for neurons of two values."""
    dtype = jnp.promote_types(weights.dtype, jnp.result_type(float))
    order, D = colouring.order, colouring.order.shape[0]
    bias = jnp.zeros(D, dtype) if bias is None else bias.astype(dtype)
    weights = jnp.append(weights.astype(dtype), 0)
    low, high = map(float, values)
    tables = tuple(_table(blocks, weights, bias[order], low, high) for blocks in colouring.blocks)
    size = jnp.sqrt(2 * jnp.sum(weights**2) / D + jnp.mean(bias**2))
    places = jnp.zeros_like(order).at[order].set(jnp.arange(D, dtype=order.dtype))
    return SparseFlips(order, places, tables, bias, size, (low, high))


def _table(blocks, weights, bias, low, high):
    pulls, n = weights[blocks.edges], blocks.edges.shape[2]
    own = bias.at[blocks.starts[:, None] + jnp.arange(n)].get(mode="fill", fill_value=0)
    sizes = jnp.abs(own) + (abs(low) + high - low) * jnp.sum(jnp.abs(pulls), axis=1)
    roundings = _ROUNDINGS + 0.5 * pulls.shape[1]
    base, errors = own + low * jnp.sum(pulls, axis=1), roundings * jnp.finfo(pulls.dtype).eps * sizes
    terms = pulls.shape[1]
    more = -terms % _TERMS if terms > _TERMS else 0
    pad = lambda table: jnp.pad(table, [(0, 0), (0, more), (0, 0)])  # noqa: E731
    padded = eqx.tree_at(lambda b: b.neighbours, blocks, pad(blocks.neighbours))
    return Table(padded, pad((high - low) * pulls), base, errors)


class _Words(NamedTuple):
    """States of W · L chains: bit l of word w is the neuron's in chain w · L + l."""

    words: UInt[Array, "W D"]
    lanes: UInt[Array, "L 1"]


def _packed(bits: Bool[Array, "B D"]) -> _Words:
    B = bits.shape[0]
    W = -(-B // _WORD)
    L = -(-B // W)
    lanes = jnp.arange(L, dtype=jnp.uint32)[:, None]
    bits = jnp.pad(bits, [(0, W * L - B), (0, 0)]).reshape(W, L, -1)
    return _Words(_joined(bits, lanes), lanes)


def _joined(bits, lanes):
    """Bits (W, L, n) as words (W, n)."""
    return jnp.sum(bits.astype(jnp.uint32) << lanes, axis=1, dtype=jnp.uint32)


def _split(words, lanes):
    """Words (W, n) as bits (W, L, n)."""
    return (words[:, None] >> lanes) & jnp.uint32(1)


def _by_lane(values, at):
    """Numbers of the chains, (B, n), as (W, L, n); one row for all of them, (1, n), as (1, 1, n)."""
    if values.shape[0] == 1:
        return values[None]
    W, L = at.words.shape[0], at.lanes.shape[0]
    return jnp.pad(values, [(0, W * L - values.shape[0]), (0, 0)]).reshape(W, L, -1)


def _fields(at, table):
    """The fields (W, L, n) of the neurons of one block, after those of its table."""
    pulls, neighbours = table.pulls, table.blocks.neighbours

    def add(fields, terms):
        neighbours, pulls = terms
        found = at.words.at[:, neighbours].get(mode="promise_in_bounds")
        for k in range(neighbours.shape[0]):
            fields = fields + pulls[k] * _split(found[:, k], at.lanes).astype(pulls.dtype)
        return fields

    K, n = pulls.shape
    fields = jnp.broadcast_to(table.base, (at.words.shape[0], at.lanes.shape[0], n))
    if K <= _TERMS:
        return add(fields, (neighbours, pulls))
    chunks = neighbours.reshape(-1, _TERMS, n), pulls.reshape(-1, _TERMS, n)
    return lax.scan(lambda fields, chunk: (add(fields, chunk), None), fields, chunks)[0]


def _over_blocks(tables, function, carry):
    """`function(carry, table)` for every block in its turn, a table of one block."""
    for table in tables:
        blocks = table.base.shape[0]
        if blocks <= _UNROLLED:
            for j in range(blocks):
                carry = function(carry, jax.tree.map(lambda leaf: leaf[j], table))
        else:
            carry = lax.scan(lambda carry, table: (function(carry, table), None), carry, table)[0]
    return carry


def _begun(flips, states):
    """The words of all chains by place, with room for a block at the end, and how to take a block."""
    low, high = flips.values
    at = _packed(states[:, flips.order] > 0.5 * (low + high))
    room = max(table.base.shape[1] for table in flips.tables)
    widened = lambda values: jnp.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, room)])  # noqa: E731
    return at._replace(words=widened(at.words)), widened


def _moves(flips, states, free, thresholds):
    at, widened = _begun(flips, states)
    low, span = flips.values[0], flips.values[1] - flips.values[0]
    free, thresholds = widened(_by_lane(free[:, flips.order], at)), widened(_by_lane(thresholds, at))
    nothing = widened(jnp.zeros((at.words.shape[0], at.lanes.shape[0], states.shape[1]), flips.bias.dtype))

    def decide(carry, table):
        words, gains, moved = carry
        blocks, n = table.blocks, table.base.shape[0]
        of_block = lambda values: lax.dynamic_slice_in_dim(values, blocks.starts, n, -1)  # noqa: E731
        within = lambda values, new: lax.dynamic_update_slice_in_dim(  # noqa: E731
            values, new, blocks.starts, -1
        )
        old, field = of_block(words), _fields(at._replace(words=words), table)
        change = jnp.where(_split(old, at.lanes) == 1, -span, span).astype(field.dtype) * field
        change = lax.optimization_barrier(change)  # or XLA would sum the field for each use
        falls = exceeds(Change(change, span * table.errors), of_block(thresholds)) & of_block(free)
        falls = falls & (jnp.arange(n) < blocks.sizes)
        words = within(words, old ^ _joined(falls, at.lanes))
        return words, within(gains, jnp.where(falls, change, 0)), within(moved, falls)

    words, gains, moved = _over_blocks(flips.tables, decide, (at.words, nothing, nothing != 0))
    bits = _split(words[:, flips.places], at.lanes)
    B, D = states.shape
    by_chain = lambda values: values[..., :D].reshape(-1, D)[:B]  # noqa: E731
    new = jnp.where(by_chain(bits) == 1, flips.values[1], low).astype(states.dtype)
    return new, by_chain(moved), by_chain(gains)


def _energies(flips, states):
    at, widened = _begun(flips, states)
    bias, (low, high) = widened(flips.bias[flips.order]), flips.values
    terms = jnp.zeros((at.words.shape[0], at.lanes.shape[0]), flips.bias.dtype)

    def add(terms, table):
        n, start = table.base.shape[0], table.blocks.starts
        words, own = (lax.dynamic_slice_in_dim(v, start, n, -1) for v in (at.words, bias))
        x = low + (high - low) * _split(words, at.lanes).astype(own.dtype)
        felt = jnp.where(jnp.arange(n) < table.blocks.sizes, _fields(at, table) + own, 0)
        return terms - 0.5 * jnp.sum(x * felt, axis=-1)

    return _over_blocks(flips.tables, add, terms).reshape(-1)[: states.shape[0]]


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
