"""Sparse distributed memory by its neurons: hard locations with counters, as Kanerva built it."""

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray, UInt32

from energyam import checks
from energyam.hypercube import check_radius
from energyam.linalg import dot, float_dtype
from energyam.memories.neurons import Binary
from energyam.shown import shown

Size = int | None
_BITS = 32  # in a word of a packed address
_BLOCK = 2**15  # such words at a time: they stay in a core's cache


@shown()
class NeuronSDM(eqx.Module):
    """Kanerva's sparse distributed memory: hard locations, each with an address and a row of counters.

    A location is active where the Hamming distance of its address is at most `radius`. Writing adds the word
    to the counters of all active locations; reading sums their counters, and the signs are the word read.
    A query that activates nothing reads itself.

    With `selected`, a location compares only these coordinates, and its distance counts the others as equal.
    At radius 0 this is Jaeckel's selected-coordinate design: a location of k coordinates is active at 2⁻ᵏ of
    all addresses, and at both of two addresses h bits apart with probability 2⁻ᵏ C(D − h, k) / C(D, k). His
    hyperplane design, for addresses with few +1, is the same with locations whose entries are all +1.

    There is no energy: the read is a gradient (that of `PatternSDM` with as many neurons) only on average
    over where the locations are. `eam.recall` iterates the read of an autoassociative memory; the energies
    of its answer are NaN, and `converged` says whether the state has stopped changing.

    Addresses take D/8 bytes per location (1/32 of float32), counters 4 bytes each, or 1 or 2 with a
    `counter_limit` up to 127 or 32,767. Reads and writes go block by block over the locations: a million of
    1,000 bits are 128 MB and 1 GB with a limit of 127, and little more is needed to read them.

    **Arguments:** `addresses` (N, D): entries ±1; `radius`: 0..D; `word_dim`: Dw, the width of the words, by
    default D; `counter_limit`: counters stop at ± this; `selected` (N, D): truth values, by default all.

    Raises `ValueError` for other addresses, a radius outside 0..D, a limit below 1, or `selected` of another
    shape.

    Kanerva, *Sparse Distributed Memory* (1988); Jaeckel, RIACS technical report 89.28 (1989).

        >>> addresses = eam.datasets.random_patterns(5, 64, key=jr.key(0))
        >>> memory = eam.NeuronSDM.random(2000, 64, radius=24, key=jr.key(1)).write(addresses, addresses)
        >>> noisy = eam.datasets.flip_bits(addresses[3], 0.1, key=jr.key(2))
        >>> bool((memory.read(noisy) == addresses[3]).all())
        True
    """

    addresses: UInt32[Array, "N W"]
    counters: Int[Array, "N Dw"]
    radius: Int[Array, ""]
    neurons: Binary
    dim: int = eqx.field(static=True)
    counter_limit: int | None = eqx.field(static=True)
    selected: UInt32[Array, "N W"] | None = None

    def __init__(
        self,
        addresses: ArrayLike,
        radius: int,
        word_dim: Size = None,
        counter_limit: Size = None,
        selected: ArrayLike | None = None,
    ):
        addresses = checks.as_binary("addresses", addresses, "N D")
        self.dim = addresses.shape[1]
        self.addresses, self.selected = _packed(addresses), None
        if selected is not None:
            selected = checks.as_array("selected", selected, "{} {}".format(*addresses.shape))
            whole = not jnp.issubdtype(selected.dtype, jnp.floating)
            self.selected = _packed(selected if whole else checks.as_floats("selected", selected, "N D"))
        self.radius = jnp.asarray(check_radius(self.dim, radius), jnp.int32)
        self.neurons = Binary()
        self.counter_limit = None if counter_limit is None else checks.count("counter_limit", counter_limit)
        width = self.dim if word_dim is None else checks.count("word_dim", word_dim)
        limit = 2**31 - 1 if self.counter_limit is None else self.counter_limit
        self.counters = jnp.zeros((addresses.shape[0], width), np.min_scalar_type(-limit - 1))

    def __check_init__(self):
        if checks.is_known(self.radius):
            radius: Any = np.asarray(self.radius)[()]
            check_radius(self.dim, radius)
        shape = self.counters.shape[0], -(-self.dim // _BITS)
        for name, words in (("addresses", self.addresses), ("selected", self.selected)):
            if words is not None and (jnp.shape(words) != shape or words.dtype != jnp.uint32):
                raise ValueError(f"{name} must be {shape} uint32, as packed; got shape {jnp.shape(words)}")
        if self.counter_limit is not None:
            checks.count("counter_limit", self.counter_limit)

    @staticmethod
    def random(
        num_locations: int,
        dim: int,
        radius: int,
        word_dim: int | None = None,
        counter_limit: int | None = None,
        selected: int | None = None,
        *,
        key: PRNGKeyArray,
    ) -> "NeuronSDM":
        """An empty memory with `num_locations` hard locations at random addresses of `dim` bits.

        With `selected`, each location compares that many coordinates of its own, drawn without replacement.
        Raises `ValueError` for numbers below 1, for `selected` above `dim`, and as the class does.
        """
        checks.key("key", key)
        shape = checks.count("num_locations", num_locations), -(-checks.count("dim", dim) // _BITS)
        empty = NeuronSDM(jnp.ones((1, dim), jnp.int8), radius, word_dim, counter_limit)
        addresses = jr.bits(key, shape, jnp.uint32) & empty.addresses  # 0 behind the last bit
        counters = jnp.zeros((num_locations, empty.counters.shape[1]), empty.counters.dtype)
        memory = eqx.tree_at(lambda m: (m.addresses, m.counters), empty, (addresses, counters))
        if selected is None:
            return memory
        masks = _masks(jr.fold_in(key, 1), num_locations, dim, checks.count("selected", selected, 1, dim))
        return eqx.tree_at(lambda m: m.selected, memory, masks, is_leaf=lambda leaf: leaf is None)

    @property
    def num_locations(self) -> int:
        """N, how many hard locations there are."""
        return self.addresses.shape[0]

    @property
    def state_shape(self) -> tuple[int]:
        """(D,), the shape of an address."""
        return (self.dim,)

    def write(self, addresses: ArrayLike, words: ArrayLike | None = None) -> "NeuronSDM":
        """The memory after writing words (K, Dw) at addresses (K, D), or (Dw,) at (D,). By default, the words
        are the addresses.

        Words are written in batches of up to 256, and the counters are cut off at their limit after each
        batch. The batch sizes are powers of two, so that few of them are compiled. Raises `ValueError` for
        entries that are not ±1, other widths, or numbers of addresses and words that differ.
        """
        places = self._checked("addresses", addresses, self.dim)
        rows = self._checked("words", places if words is None else words, self.counters.shape[1])
        if places.shape[0] != rows.shape[0]:
            raise ValueError(f"words must be {places.shape[0]}, like the addresses; got {rows.shape[0]}")
        memory = self
        for start in range(0, rows.shape[0], 256):
            batch, to_write = places[start : start + 256], rows[start : start + 256]
            padding = ((0, 2 ** math.ceil(math.log2(batch.shape[0])) - batch.shape[0]), (0, 0))
            counters = _write(memory, _packed(jnp.pad(batch, padding)), jnp.pad(to_write, padding))
            memory = eqx.tree_at(lambda m: m.counters, memory, counters)
        return memory

    def read(self, address: ArrayLike) -> Float[Array, " Dw"]:
        """The word (Dw,) read at one address (D,): the signs of the active locations' counters summed.

        Where a sum is 0, or no location is active, an autoassociative memory returns the address itself, and
        a heteroassociative one (Dw ≠ D) returns 0. Raises `ValueError` for another width or entries not ±1.
        """
        return _read(self, self._one_address(address))

    def active(self, address: ArrayLike) -> Bool[Array, " N"]:
        """Which hard locations an address (D,) activates. Raises `ValueError` as `read` does."""
        return _active(self, _packed(self._one_address(address)))

    def field(self, state: ArrayLike) -> Float[Array, " D"]:
        """The summed counters of the locations that a state (D,) activates; `ValueError` if Dw ≠ D."""
        width = self.counters.shape[1]
        if width != self.dim:
            wanted = f"as wide as addresses, {self.dim}, to read again and again"
            raise ValueError(f"words must be {wanted}; got {width} (use memory.read)")
        state = checks.as_binary("state", state, f"{self.dim}")
        return _field(self, state.astype(float_dtype(state.dtype)))

    def _one_address(self, address: Any) -> Any:
        return checks.as_binary("address", address, f"{self.dim}")

    def _checked(self, name: str, rows: Any, width: int) -> Any:
        rows = checks.as_array(name, rows, "... D")
        return checks.as_binary(name, rows[None] if rows.ndim == 1 else rows, f"K {width}")


@jax.jit
def _read(memory: NeuronSDM, address: Num[Array, " D"]) -> Float[Array, " Dw"]:
    """The signs of the field at an address; where it is 0, the address's own."""
    place = address.astype(float)
    field = _field(memory, place)
    return memory.neurons.respond(field, place if field.shape == place.shape else jnp.zeros_like(field))


@jax.jit
def _field(memory: NeuronSDM, state: Float[Array, " D"]) -> Float[Array, " Dw"]:
    """The counters of the active locations, summed block by block."""
    address = _packed(state)

    def add_block(i, total):
        locations, counters, _, fresh = _block(memory, memory.counters, i)
        near = _within(locations, address, memory.radius) & fresh
        return total + dot(near.astype(total.dtype), counters)

    return lax.fori_loop(0, _num_blocks(memory), add_block, jnp.zeros(memory.counters.shape[1]))


@jax.jit
def _write(memory, addresses, words):
    """The counters with words (K, Dw) added at packed addresses (K, W); rows of zeros add nothing."""
    limit = memory.counter_limit

    def write_block(i, all_counters):
        locations, counters, start, fresh = _block(memory, all_counters, i)
        near = jax.vmap(lambda address: _within(locations, address, memory.radius) & fresh)(addresses)
        counters = counters + dot(near.T.astype(float), words).astype(jnp.int32)
        counters = counters if limit is None else jnp.clip(counters, -limit, limit)
        return lax.dynamic_update_slice_in_dim(all_counters, counters.astype(all_counters.dtype), start, 0)

    return lax.fori_loop(0, _num_blocks(memory), write_block, memory.counters)


@jax.jit
def _active(memory: NeuronSDM, address: UInt32[Array, " W"]) -> Bool[Array, " N"]:
    def activate(i):
        return _within(_block(memory, memory.counters, i)[0], address, memory.radius)

    near = lax.map(activate, jnp.arange(_num_blocks(memory)))
    left = memory.addresses.shape[0] - near[:-1].size  # what the last block adds
    return jnp.concatenate([near[:-1].reshape(-1), near[-1, near.shape[1] - left :]])


@jax.custom_batching.sequential_vmap
def _within(locations, address, radius):
    """Which locations (b, W) lie within a Hamming distance of a (W,); one after another under `vmap`.

    A query at a time a block of addresses is read from the cache; all at once they make an array that isn't.
    """
    addresses, selected = locations
    differ = addresses ^ address[None] if selected is None else (addresses ^ address[None]) & selected
    return jnp.sum(lax.population_count(differ).astype(jnp.int32), axis=1) <= radius


def _block(memory, counters, i):
    """The i-th block of locations and counters, its first row, and which rows no earlier block had.

    All blocks are of one size; the last begins early enough to be whole.
    """
    N, size = memory.addresses.shape[0], _block_size(memory)
    start = jnp.minimum(i * size, N - size)
    fresh = start + jnp.arange(size) >= i * size
    rows = ((memory.addresses, memory.selected), counters)
    return *jax.tree.map(lambda array: lax.dynamic_slice_in_dim(array, start, size), rows), start, fresh


def _block_size(memory):
    N, W = memory.addresses.shape
    return min(N, max(_BLOCK // W, 512))


def _num_blocks(memory):
    return -(-memory.addresses.shape[0] // _block_size(memory))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _masks(key, N, D, k):
    """Masks (N, W) of k of D coordinates each, all choices equally likely.

    Bentley & Floyd, "A sample of brilliance", Communications of the ACM 30, 754 (1987).
    """

    def draw(i, chosen):
        last = jnp.asarray(D - k + i, jnp.int32)
        drawn = jr.randint(jr.fold_in(key, i), (N,), 0, last + 1, jnp.int32)
        taken = jnp.any(chosen == drawn[:, None], axis=1)
        return chosen.at[:, i].set(jnp.where(taken, last, drawn))

    chosen = lax.fori_loop(0, k, draw, jnp.full((N, k), -1, jnp.int32))
    bits = jnp.uint32(1) << (chosen % _BITS).astype(jnp.uint32)
    masks = jnp.zeros((N, -(-D // _BITS)), jnp.uint32)
    return masks.at[jnp.arange(N)[:, None], chosen // _BITS].add(bits)


@jax.jit
def _packed(states):
    """±1 entries (..., D) as bits (..., W), 1 for +1 and 0 behind the last."""
    D = states.shape[-1]
    bits = jnp.pad(states > 0, [(0, 0)] * (states.ndim - 1) + [(0, -D % _BITS)])
    bits = bits.reshape(*states.shape[:-1], -1, _BITS).astype(jnp.uint32)
    places = jnp.arange(_BITS, dtype=jnp.uint32).reshape((1,) * (bits.ndim - 1) + (_BITS,))
    return jnp.sum(bits << places, axis=-1, dtype=jnp.uint32)
