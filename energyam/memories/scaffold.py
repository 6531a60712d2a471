"""Memories on a scaffold: features are attached to places, which modules of grid cells represent."""

import math
from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from energyam import checks
from energyam.learning import optimal_linear_associator
from energyam.linalg import dot
from energyam.memories.neurons import AbstractNeurons, Binary
from energyam.memories.rows import as_whole
from energyam.shown import shown


@shown()
class Scaffold(eqx.Module):
    """A memory of features at places: recall finds the place that a query belongs to, and then the features
    there.

        places = argmax within each module of  A h,   h = read_in · features
        features = sign(read_out · h(place)),         h(place) = max(0, W g(place))

    A place p is represented by its remainders modulo the periods λ_m, one-hot in each module: g(p). No two
    periods have a common factor, so that Σ λ_m grid cells represent Π λ_m places. Hidden cells are driven by
    the grid cells through fixed random weights W. The weights A back to the grid cells follow Hebb's rule,
    and with enough hidden cells every place is a fixed point, with or without features. Least squares attach
    the patterns to the first K places. With more patterns than hidden cells, recall becomes worse gradually,
    whereas a Hopfield network beyond its capacity loses all patterns at once.

    Run it by `recall(memory, query, eam.Synchronous())`; there is no energy. `place` and `at` are the two
    halves of a step, and `at(place(x) + velocity)` gives the features that many places further on.

    **Arguments:** `patterns` (K, D): the features, K at most Π λ_m; `periods`: whole numbers of at least 2,
    no two of which have a common factor; `num_hidden`: the number of hidden cells; `key`: for W; `neurons`:
    the neurons of the features, `Binary()` by default. Raises `ValueError` for other values.

    Chandra, Sharma, Chaudhuri & Fiete, Nature 638 (2025); Sharma, Chandra & Fiete, ICML 2022.

        >>> patterns = eam.datasets.random_patterns(40, 100, key=jr.key(0))
        >>> memory = eam.Scaffold(patterns, periods=(3, 4, 5), num_hidden=200, key=jr.key(1))
        >>> memory.place(patterns[7]).tolist(), bool((memory.at(7 + 3) == patterns[10]).all())
        ([1, 3, 2], True)
    """

    outward: Float[Array, "H G"]  # W, grid to hidden
    inward: Float[Array, "G H"]  # A, hidden to grid
    read_in: Float[Array, "H D"]
    read_out: Float[Array, "D H"]
    neurons: AbstractNeurons
    periods: tuple[int, ...] = eqx.field(static=True, converter=lambda periods: _as_periods(periods))

    def __init__(
        self,
        patterns: ArrayLike,
        periods: Sequence[int],
        num_hidden: int,
        neurons: AbstractNeurons | None = None,
        *,
        key: PRNGKeyArray,
    ):
        self.periods = _as_periods(periods)
        self.neurons = checks.instance("neurons", Binary() if neurons is None else neurons, AbstractNeurons)
        features = self.neurons.check("patterns", patterns, "K D").astype(float)
        features = checks.as_floats("patterns", features, "K D")
        if features.shape[0] > self.num_places:
            has = f"{self.num_places} places that periods {self.periods} name"
            raise ValueError(f"patterns must be at most as many as the {has}; got {features.shape[0]}")
        checks.key("key", key)
        shape = checks.count("num_hidden", num_hidden), sum(self.periods)
        self.outward = jr.normal(key, shape, features.dtype)
        hidden, self.inward = _cells(self.outward, self.periods)
        # As if each feature came with half its variance of noise, and without what all places have in common:
        # worn features then lead to their place more often.
        ridge, common = 0.5 * jnp.sum(features**2) / features.shape[1], hidden.mean(axis=0, keepdims=True)
        self.read_in = optimal_linear_associator(features, hidden[: len(features)] - common, ridge)
        self.read_out = optimal_linear_associator(hidden[: len(features)], features)

    def __check_init__(self):
        checks.instance("neurons", self.neurons, AbstractNeurons)
        (D, H), G = checks.as_floats("read_out", self.read_out, "D H").shape, sum(self.periods)
        checks.as_floats("outward", self.outward, f"{H} {G}")
        checks.as_floats("inward", self.inward, f"{G} {H}")
        checks.as_floats("read_in", self.read_in, f"{H} {D}")

    @property
    def num_places(self) -> int:
        """Π λ_m, how many places there are."""
        return math.prod(self.periods)

    @property
    def state_shape(self) -> tuple[int]:
        """(D,), the shape of features."""
        return (self.read_out.shape[0],)

    def hidden(self, place: ArrayLike) -> Float[Array, " H"]:
        """The hidden cells (H,) at a place: a whole number, or its remainders (n,), one for each module."""
        return _hidden(self.outward, self._remainders(place), self.periods)

    def nearest_place(self, hidden: ArrayLike) -> Int[Array, " n"]:
        """The place that hidden cells (H,) lead to, as its remainders (n,): the winner in each module."""
        return _winners(self.inward, checks.as_vector("hidden", hidden, self.outward.shape[0]), self.periods)

    def place(self, features: ArrayLike) -> Int[Array, " n"]:
        """The place of features (D,), as remainders (n,); raises `ValueError` for another shape."""
        features = checks.as_vector("features", features, self.read_out.shape[0])
        return self.nearest_place(dot(self.read_in, features.astype(self.read_in.dtype)))

    def at(self, place: ArrayLike) -> Float[Array, " D"]:
        """The features (D,) at a place: a whole number or remainders (n,). Raises `ValueError` for others."""
        return _features(self, self._remainders(place))

    def field(self, state: ArrayLike) -> Float[Array, " D"]:
        """The field at features (D,): the stored features at their place; `ValueError` for another shape."""
        state = checks.as_vector("state", state, self.read_out.shape[0])
        return dot(self.read_out, self.hidden(self.place(state))).astype(state.dtype)

    def _remainders(self, place):
        place, n = checks.as_array("place", place, "..."), len(self.periods)
        if place.shape not in ((), (n,)) or not jnp.issubdtype(place.dtype, jnp.integer):
            wanted = f"a whole number, or one for each of {n} modules"
            raise ValueError(f"place must be {wanted}; got shape {place.shape}, dtype {place.dtype}")
        return _modulo(place, self.periods)


@partial(jax.jit, static_argnums=2)
def _hidden(outward, remainders, periods):
    modules = zip(remainders, periods, strict=True)
    grid = [jax.nn.one_hot(r, period, dtype=outward.dtype) for r, period in modules]
    return jax.nn.relu(dot(outward, jnp.concatenate(grid)))


@partial(jax.jit, static_argnums=2)
def _winners(inward, hidden, periods):
    modules = jnp.split(dot(inward, hidden), np.cumsum(periods)[:-1])
    return jnp.stack([jnp.argmax(module) for module in modules])


@partial(jax.jit, static_argnums=1)
def _cells(outward, periods):
    """The hidden cells (P, H) of all places, and the weights (G, H) that lead from them to grid cells.

    By Hebb's rule of one-hot grid cells, each sums up the hidden cells of the places where it is active.
    """
    places, H = jnp.arange(math.prod(periods)), outward.shape[0]
    hidden = jax.vmap(lambda place: _hidden(outward, _modulo(place, periods), periods))(places)
    return hidden, jnp.concatenate([hidden.reshape(-1, period, H).sum(axis=0) for period in periods])


@eqx.filter_jit
def _features(memory, remainders):
    drive = dot(memory.read_out, memory.hidden(remainders))
    return memory.neurons.respond(drive, memory.neurons.retract(drive))


@partial(jax.jit, static_argnames="periods")  # which else are sent to the device at each call
def _modulo(place, periods):
    return jnp.broadcast_to(place, (len(periods),)) % np.asarray(periods, place.dtype)


def _as_periods(periods):
    """Periods as a tuple of whole numbers; raises `ValueError` where two have a common factor."""
    listed = as_whole("periods", periods)
    if listed.ndim != 1:
        raise ValueError(f"periods must be whole numbers, such as (3, 4, 5); got {periods!r:.80}")
    found = tuple(checks.count("periods", period, least=2) for period in listed)
    if not found or math.lcm(*found) != math.prod(found):
        raise ValueError(f"periods must be one or more, without a common factor; got {found}")
    return found
