"""Hidden units: given these, the neurons of a memory are independent of each other and can all be drawn at
once.

Where exp(potential(s)/T) = ∫ exp(w · s/T) dν(w), the weights w are hidden units: given a state they are drawn
from exp(w · s/T) dν(w), and given them the neurons x from exp((w · S(Ξ, x) − R(x))/T), each by itself.
"""

import abc
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Num, PRNGKeyArray, PyTree

from energyam import checks
from energyam.abilities import optional
from energyam.flips.derived import scalar_energy

Real = Float[Array, ""]
Weights = Float[Array, " K"]
State: TypeAlias = PyTree[Array]

_WHOLE = 1e-4  # how far a number of copies may be from a whole one, relative to it


class AbstractHiddenUnits(eqx.Module):
    """Weights of patterns as random numbers: how they are drawn given the similarities of a state."""

    @abc.abstractmethod
    def check(self, temperatures: Float[Array, " n"]) -> None:
        """Raise `ValueError` for temperatures at which there are no such units."""

    @abc.abstractmethod
    def draw(self, similarities: Weights, temperature: Real, *, key: PRNGKeyArray) -> Weights:
        """Weights w (K,) from a density proportional to exp(w · s/T) dν(w); NaN where there are none."""

    @optional
    def copies(self, temperature: float) -> tuple[int, float] | None:
        """p and b, where exp(potential(s)/T) = (Σ_μ exp(b s_μ))^p for a whole p; None elsewhere. Write it so
        that partition functions and independent samples are exact."""
        return None


class AbstractRedraws(eqx.Module):
    """How all neurons of a memory are drawn anew. `kept` is what is carried along from draw to draw, such as
    similarities."""

    @abc.abstractmethod
    def check(self, temperatures: Float[Array, " n"]) -> None:
        """Raise `ValueError` for temperatures at which they can't be drawn."""

    @abc.abstractmethod
    def start(self, state: PyTree[Array]) -> Any:
        """The data to carry along for a state."""

    @abc.abstractmethod
    def energy(self, kept: Any, state: PyTree[Array]) -> Float[Array, ""]:
        """E(x)."""

    @abc.abstractmethod
    def redrawn(self, kept: Any, state: State, clamp: Any, temperature: Real, *, key: PRNGKeyArray) -> State:
        """A state after each hidden unit and each neuron was drawn once; exp(−E/T) stays as it is."""


class GaussianUnits(AbstractHiddenUnits):
    """One normal unit for each pattern: exp(s²/2T) = E exp(w s/T) for w ~ N(0, T), and w given s ~ N(s, T).

    Hubbard, Phys. Rev. Lett. 3 (1959).
    """

    def check(self, temperatures: Float[Array, " n"]) -> None:
        """Any temperature will do."""

    def draw(self, similarities: Weights, temperature: Real, *, key: PRNGKeyArray) -> Weights:
        noise = jr.normal(key, similarities.shape, similarities.dtype)
        return similarities + jnp.sqrt(temperature).astype(similarities.dtype) * noise


class DrawnPatterns(AbstractHiddenUnits):
    """n patterns, each drawn from softmax(β s): (Σ exp(β s_μ))ⁿ is a sum of exponentials for whole n.

    The potential is `scale` · log Σ exp(β s_μ), so n = scale/T must be a whole number of at least 1.
    """

    beta: Float[Array, ""]
    scale: Float[Array, ""]

    def check(self, temperatures: Float[Array, " n"]) -> None:
        if not checks.passes(_all_whole, self.scale, temperatures):
            first = checks.now(lambda scale, T: T[jnp.argmin(_is_whole(scale / T))], self.scale, temperatures)
            wanted = f"{float(self.scale):g} divided by 1, 2, 3, …"
            why = "where exp(−E/T) of this log-sum-exp memory is a mixture"
            got = f"{float(first):g} (eam.HeatBath and eam.Langevin take any)"
            raise ValueError(f"temperature must be {wanted}, {why}; got {got}")

    def copies(self, temperature: float) -> tuple[int, float] | None:
        power = float(self.scale) / temperature
        p = round(power)
        return (p, float(self.beta)) if p >= 1 and abs(power - p) <= 1e-5 * p else None

    def draw(self, similarities: Weights, temperature: Real, *, key: PRNGKeyArray) -> Weights:
        copies = self.scale / temperature
        unit = jnp.where(_is_whole(copies), self.beta * temperature, jnp.nan).astype(similarities.dtype)

        def add(copy, weights):
            pattern = jr.categorical(
                jr.fold_in(key, copy), self.beta.astype(similarities.dtype) * similarities
            )
            return weights.at[pattern].add(unit)

        nothing = jnp.zeros_like(similarities) * unit  # NaN where n is not a whole number
        return lax.fori_loop(0, jnp.round(copies).astype(int), add, nothing)


def can_be_drawn(neurons: Any) -> bool:
    """Whether neurons draw themselves at a temperature, given what pulls at them."""
    zero = jnp.zeros(())
    drawn = lambda key: neurons.draw(jnp.zeros(neurons.unit or 1), zero, zero + 1, key=key)  # noqa: E731
    return jax.eval_shape(drawn, jr.key(0)) is not None


def _is_whole(copies):
    return (copies > 0.5) & (abs(copies - copies.round()) <= _WHOLE * copies)


_all_whole = jax.jit(lambda scale, T: _is_whole(scale / T).all())


class PatternRedraws(AbstractRedraws):
    """Hidden units are weights of patterns. What is kept: the similarities."""

    patterns: Num[Array, "K D"]
    similarity: Any
    separation: Any
    hidden: AbstractHiddenUnits
    neurons: Any

    def check(self, temperatures: Float[Array, " n"]) -> None:
        self.hidden.check(temperatures)

    def start(self, state: PyTree[Array]) -> Float[Array, " K"]:
        return self.similarity.of_all(self.patterns, state)

    def energy(self, kept: Float[Array, " K"], state: PyTree[Array]) -> Float[Array, ""]:
        return self.neurons.energy(state) - self.separation.potential(kept)

    def redrawn(self, kept: Any, state: State, clamp: Any, temperature: Real, *, key: PRNGKeyArray) -> State:
        of_hidden, of_neurons = jr.split(key)
        weights = self.hidden.draw(kept, temperature, key=of_hidden)
        field, curvature = self.similarity.field(self.patterns, weights, None)
        return jnp.where(clamp, state, self.neurons.draw(field, curvature, temperature, key=of_neurons))


class LayerRedraws(AbstractRedraws):
    """Layers that are independent neurons given the others, drawn layer after layer: nothing is kept."""

    memory: Any

    def check(self, temperatures: Float[Array, " n"]) -> None:
        """Any temperature will do."""

    def start(self, state: PyTree[Array]) -> tuple[()]:
        return ()

    def energy(self, kept: Any, state: PyTree[Array]) -> Float[Array, ""]:
        return scalar_energy(self.memory)(state)

    def redrawn(self, kept: Any, state: State, clamp: Any, temperature: Real, *, key: PRNGKeyArray) -> State:
        state, flat = dict(state), jnp.zeros(())
        for name, own in zip(self.memory.order, jr.split(key, len(self.memory.order)), strict=True):
            field = jax.grad(lambda layer: self.memory.potential(state | {name: layer}))(state[name])  # noqa: B023
            new = self.memory.neurons[name].draw(field, flat, temperature, key=own)
            state[name] = jnp.where(clamp[name], state[name], new)
        return state
