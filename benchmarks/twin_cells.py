"""The cells of `twins`: four kinds of patterns, memories of them, and the potential that a twin uses."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

import energyam as eam
from benchmarks.ten_lines import Step, field_twin, of_bits, of_signs, overlap_twin

Named = dict[str, tuple[Any, Callable[[Array], Array]]]  # by name a memory, and the twin's potential


class Case(NamedTuple):
    """What a cell needs of a memory: itself, its twin, its energy, a floor's matrix, and how neurons flip."""

    memory: Any
    twin: Callable[[Array, int, Array], Array]  # states, number of sweeps, key
    energy: Callable[[Array], Array]
    matrix: Array
    step: Step


class Quartic(eam.AbstractSeparation):
    """A user's own potential, with nothing declared."""

    size: Float[Array, ""]

    def potential(self, similarities):
        return jnp.sum((similarities / self.size) ** 4)


class Cosh(eam.AbstractSeparation):
    """Another, in which a pattern and its opposite weigh the same."""

    width: Float[Array, ""]

    def potential(self, similarities):
        return jnp.sum(jnp.cosh(similarities / self.width))


def patterns_of(kind: str, K: int, D: int) -> Array:
    """Patterns ±1 (K, D) of a kind.

    - `glyphs`, and `bits`, the same for neurons 0 and 1.
    - `random`: K = 1024 are above the capacity of all but the steepest memories.
    - `alike`: figures on one ground; a tenth of the neurons of each differ from the ground.
    """
    if kind == "random":
        return jr.rademacher(jr.key(3), (K, D), dtype="int8")
    if kind == "alike":
        drawn = jr.uniform(jr.key(4), (K, D)) < 0.1
        return jnp.where(drawn, -1, 1).astype("int8") * jr.rademacher(jr.key(5), (1, D), dtype="int8")
    return jnp.asarray(eam.datasets.glyphs()[:K].reshape(K, -1)[:, :D])


def queries_of(kind: str, X: Array, count: int) -> Array:
    """The first patterns with a quarter of their neurons flipped, as states of the memories of a kind."""
    flips = jr.uniform(jr.key(2), (count, X.shape[1])) < 0.25
    noisy = jnp.where(flips, -X[:count], X[:count])
    return (noisy > 0).astype(X.dtype) if kind == "bits" else noisy


def cases_of(kind: str, X: Array) -> dict[str, Case]:
    """All cells of a kind of patterns, by the names of their memories."""
    if kind == "alike":
        return of_overlaps(alike_memories(X), X, of_signs)
    if kind == "bits":
        return of_overlaps(memories_of_bits(X), X, of_bits) | networks_of_bits(X)
    weights = eam.hebbian(X)
    network = of_couplings(eam.HopfieldNetwork(weights), weights, jnp.zeros(len(weights)), of_signs)
    return of_overlaps(memories(X), X, of_signs) | {"HopfieldNetwork": network}


def memories(X: Array) -> Named:
    """The memories of glyphs and of random patterns."""
    D = X.shape[1]
    circle = eam.CircleIntersection(D, D // 2 - D // 20)
    return {
        "CHN": (eam.CHN(X), lambda s: 0.5 * jnp.sum(s**2, axis=-1)),
        "polynomial 3": (eam.PolynomialDenseAM(X, 3), power(3, D)),
        "polynomial 30": (eam.PolynomialDenseAM(X, 30), power(30, D)),
        "exponential 50": (eam.ExponentialDenseAM(X, 50.0), lambda s: jax.nn.logsumexp(50.0 * s, axis=-1)),
        "exponential .05": (eam.ExponentialDenseAM(X, 0.05), lambda s: jax.nn.logsumexp(0.05 * s, axis=-1)),
        "PatternSDM": (eam.PatternSDM(X, D // 2 - D // 20), jax.vmap(circle.potential)),
        "own potential": (eam.DenseAM(X, Quartic(jnp.asarray(float(D))), eam.Binary()), quartic(D)),
    }


def alike_memories(X: Array) -> Named:
    """Of figures on one ground, where all patterns are close to every query and none leads.

    Of patterns that are real numbers, as trained ones are, no change is known to be whole.
    """
    D, floats = X.shape[1], X.astype(float)
    width = 400 / 2304 * D
    cosh = lambda s: jnp.sum(jnp.cosh(s / width), axis=-1)  # noqa: E731
    own = lambda X: eam.DenseAM(X, Cosh(jnp.asarray(width)), eam.Binary())  # noqa: E731
    return {
        "polynomial 5": (eam.PolynomialDenseAM(X, 5), power(5, D)),
        "polynomial 5, real": (eam.DenseAM(floats, eam.Polynomial(5), eam.Binary()), power(5, D)),
        "own cosh": (own(X), cosh),
        "own cosh, real": (own(floats), cosh),
    }


def memories_of_bits(X: Array) -> Named:
    """Of neurons 0 and 1, with patterns ±1."""
    D = X.shape[1]
    memory = lambda separation: eam.DenseAM(X, separation, eam.ZeroOne())  # noqa: E731
    return {
        "quadratic": (memory(eam.Quadratic()), lambda s: 0.5 * jnp.sum(s**2, axis=-1)),
        "polynomial 3": (memory(eam.Polynomial(3)), power(3, D)),
        "exponential .05": (memory(eam.LogSumExp(0.05)), lambda s: jax.nn.logsumexp(0.05 * s, axis=-1)),
        "own potential": (memory(Quartic(jnp.asarray(float(D)))), quartic(D)),
    }


def networks_of_bits(X: Array) -> dict[str, Case]:
    """The network of neurons 0 and 1 that does what that of ±1 does: −½ Σ_j W_ij is the bias of neuron i."""
    weights = eam.hebbian(X)
    bias = -0.5 * weights.sum(axis=1)
    network = eam.HopfieldNetwork(weights, bias, neurons=eam.ZeroOne())
    return {"HopfieldNetwork": of_couplings(network, weights, bias, of_bits)}


def power(n: int, D: int) -> Callable[[Array], Array]:
    """Σ max(s/D, 0)ⁿ: a rectified polynomial as its twin's author writes it, with no power beyond floats."""
    return lambda s: jnp.sum(jnp.maximum(s / D, 0) ** n, axis=-1)


def quartic(D: int) -> Callable[[Array], Array]:
    """Σ (s/D)⁴."""
    return lambda s: jnp.sum((s / D) ** 4, axis=-1)


def of_overlaps(named: Named, X: Array, step: Step) -> dict[str, Case]:
    """The cells of memories that see a state by its overlaps."""
    floats = X.astype(float)

    def case(memory, potential):
        energy = lambda x: -jnp.squeeze(potential((floats @ x)[None]))  # noqa: E731
        return Case(memory, partial(overlap_twin, potential, floats, step), energy, floats, step)

    return {name: case(*one) for name, one in named.items()}


def of_couplings(network: Any, weights: Array, bias: Array, step: Step) -> Case:
    """The cell of a network."""
    energy = lambda x: -0.5 * x @ weights @ x - bias @ x  # noqa: E731
    return Case(network, partial(field_twin, weights, bias, step), energy, weights, step)
