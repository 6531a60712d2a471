"""Neurons: what values a layer takes, the energy they cost, how they move, and how they answer a field."""

import abc

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, PRNGKeyArray, Shaped

from energyam import checks
from energyam.abilities import check_written, optional
from energyam.shown import shown

Shape = tuple[int, ...] | None
Layer = Float[Array, "..."]
Number = Float[Array, ""]
Wide = Float[Array | np.ndarray, "..."]  # of numpy in double precision, where that matters


@shown()
class AbstractNeurons(eqx.Module):
    """The neurons of one layer: their values, their energy R(x), and argmin_x R(x) − field · x.

    With a convex Lagrangian L of the literature, R is its Legendre dual and `respond` is ∇L. `shape` is that
    of the layer, a field where a memory of several layers needs it, else None. R is a sum over the neurons,
    unless they are `coupled`.
    """

    shape = None  # type: Any  # no annotation, which would make it a field

    def __check_init__(self):
        check_written(type(self), AbstractNeurons)
        if self.shape is not None:
            _check_shape("shape", self.shape)

    @abc.abstractmethod
    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        """`states` as an array of such neurons; raises `ValueError` if they can't be."""

    @abc.abstractmethod
    def energy(self, state: Layer) -> Number:
        """R(x), a scalar for one layer."""

    @abc.abstractmethod
    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        """argmin_x R(x) + ½ curvature ‖x‖² − field · x; neurons that nothing pulls at stay as in `state`."""

    @abc.abstractmethod
    def retract(self, state: Layer) -> Layer:
        """The nearest state that these neurons can take."""

    @property
    @optional
    def values(self) -> tuple[int | float, int | float] | None:
        """The two values of a two-valued neuron, the lower one first. Write it so that single neurons flip:
        asynchronous recall, heat baths, local minima and exact sums then serve these neurons."""
        return None

    @optional
    def others(self, state: Layer | np.ndarray) -> Layer | np.ndarray | None:
        """The other values: of two-valued neurons elementwise, of a one-hot unit of q values the q − 1 other
        rows (q − 1, q) for its row (q,). Write it for units; of two-valued neurons it is derived."""
        return None if self.values is None else sum(self.values) - state

    @property
    @optional
    def unit(self) -> int | None:
        """How many entries of the last axis move together: q for one-hot units, 1 for two-valued neurons;
        None for neurons without single moves. Write it where a last axis may hold several units."""
        return None if self.values is None else 1

    @property
    @optional
    def coupled(self) -> bool:
        """Whether neurons constrain one another along the last axis, as on a sphere. Write it so that a clamp
        that holds some of them and leaves others is refused."""
        return False

    @optional
    def check_patterns(self, patterns: Num[Array, "K D"]) -> Num[Array, "K D"]:
        """Patterns such as memories of these neurons compare states with; any finite numbers, unless written,
        and whole ones −1 and 1, or −1, 0 and 1, for neurons of values −1 and 1, or 0 and 1. Write it where a
        pattern must be a state, as on a sphere."""
        if self.values in ((-1, 1), (0, 1)) and jnp.issubdtype(patterns.dtype, jnp.integer):
            return whole_patterns(patterns, self)
        return checks.as_floats("patterns", patterns, "K D")

    @optional
    def lagrangian(self, field: Layer) -> Number | None:
        """L(x), a scalar for the field of one layer, whose gradient is the answer to it. Write it where it is
        known in closed form."""
        return None

    @optional
    def draw(
        self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray
    ) -> Layer | None:
        """Neurons x from exp((field · x − ½ curvature ‖x‖² − R(x))/T), each by itself. Write it so that
        `BlockGibbs` draws whole layers, and annealing knows where to start."""
        return None

    @optional
    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide | None:
        """The log of the sum, or integral, of exp((field · x − ½ curvature ‖x‖² − R(x))/T) over the values of
        each neuron, or unit. Write it so that partition functions of mixtures are exact."""
        return None

    @optional
    def tangent(self, state: Layer, vector: Layer) -> Layer | None:
        """The part of `vector` along the surface at `state`. Write it, with `geodesic`, for neurons on a
        curved surface, so that Langevin dynamics samples them exactly."""
        return None

    @optional
    def geodesic(self, state: Layer, step: Layer) -> tuple[Layer, Layer] | None:
        """Where a tangent step leads, and the step as carried there: its opposite leads back. Write it with
        `tangent`."""
        return None


class Continuous(AbstractNeurons):
    """Real neurons: R = ½‖x‖², and the answer to a field is the field."""

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Layer) -> Number:
        return 0.5 * jnp.sum(state**2)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        return field / (1 + jnp.asarray(curvature, field.dtype))

    def retract(self, state: Layer) -> Layer:
        return state

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _normal(field, 1 + curvature, temperature, key=key)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        return _log_gaussian(field, 1 + curvature, temperature)


class Free(AbstractNeurons):
    """Real neurons that cost nothing, R = 0: for energies that hold their states by themselves.

    The answer to a field is field / curvature; where the curvature is 0 they stay.
    """

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        held = jnp.asarray(curvature, field.dtype)
        return jnp.where(held > 0, field / jnp.where(held > 0, held, 1), state)

    def retract(self, state: Layer) -> Layer:
        return state

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _normal(field, curvature, temperature, key=key)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        return _log_gaussian(field, curvature, temperature)


class Spherical(AbstractNeurons):
    """Unit vectors: R = 0 on the sphere, and the answer to a field is its direction."""

    shape: Shape = eqx.field(static=True, default=None)

    @property
    def coupled(self) -> bool:
        return True

    def check_patterns(self, patterns: Num[Array, "K D"]) -> Num[Array, "K D"]:
        return self.check("patterns", patterns, "K D")

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        states = checks.as_floats(name, states, dims)
        norms = checks.now(lambda x: jnp.linalg.norm(x.astype(float), axis=-1), states)
        if not checks.passes(lambda r: (jnp.abs(r - 1) < 1e-2).all(), norms):
            raise ValueError(
                f"{name} must be unit vectors; got norms from {norms.min():.4g} to {norms.max():.4g} "
                "(divide by the norm first)"
            )
        return states

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        # Scaled by the largest entry first: squares of small or large fields leave the range of floats.
        size = jnp.max(jnp.abs(field), axis=-1, keepdims=True)
        scaled = field / jnp.where(size > 0, size, 1)
        norm = jnp.sqrt(jnp.sum(jnp.where(size > 0, scaled, 1) ** 2, axis=-1, keepdims=True))
        return jnp.where(size > 0, scaled / norm, state)

    def retract(self, state: Layer) -> Layer:
        return self.respond(state, state)

    def tangent(self, state: Layer, vector: Layer) -> Layer:
        return vector - jnp.sum(state * vector, axis=-1, keepdims=True) * state

    def geodesic(self, state: Layer, step: Layer) -> tuple[Layer, Layer]:
        angle = jnp.sqrt(jnp.sum(step**2, axis=-1, keepdims=True))
        arrived = jnp.cos(angle) * state + jnp.sinc(angle / jnp.pi) * step
        return self.retract(arrived), jnp.cos(angle) * step - angle * jnp.sin(angle) * state


def is_curved(neurons: AbstractNeurons) -> bool:
    """Whether neurons lie on a curved surface, and know its shortest ways."""
    return neurons.tangent(jnp.ones(1), jnp.zeros(1)) is not None


def is_movable(neurons: AbstractNeurons) -> bool:
    """Whether neurons have single moves."""
    if neurons.values is not None or neurons.unit is not None:
        return True
    return neurons.others(jnp.eye(2)[0]) is not None


def cost_nothing(neurons: AbstractNeurons) -> bool:
    """Whether R is known to be 0 for all values that a neuron, or a unit, moves between.

    Moves then need not ask for it.
    """
    values = jnp.eye(neurons.unit or 2) if neurons.values is None else jnp.asarray(neurons.values, float)
    costs = checks.now(lambda: jnp.stack([neurons.energy(jnp.atleast_1d(value)) for value in values]))
    return checks.is_known(costs) and bool(checks.now(lambda costs: (costs == 0).all(), costs))


def whole_patterns(patterns: Num[Array, "K D"], neurons: AbstractNeurons) -> Num[Array, "K D"]:
    """Whole patterns with entries ±1, or −1, 0 and 1 for neurons 0/1; raises `ValueError` for others."""
    least = 1 if neurons.values == (-1, 1) else 0
    if not checks.passes(lambda x: ((jnp.abs(x) <= 1) & (jnp.abs(x) >= least)).all(), patterns):
        raise ValueError(
            f"patterns must be (K, D) with whole entries {'−1 or 1' if least else '−1, 0 or 1'} under "
            f"{type(neurons).__name__}(), or floats; got others (patterns * 1.0 makes floats)"
        )
    return patterns.astype(jnp.int8)


def _normal(field, curvature, temperature, *, key):
    """Numbers from exp((field x − ½ curvature x²)/T)."""
    curvature = jnp.asarray(curvature, field.dtype)
    noise = jr.normal(key, field.shape, field.dtype)
    return field / curvature + jnp.sqrt(temperature / curvature).astype(field.dtype) * noise


def _log_gaussian(field, curvature, temperature):
    """The log of the integral of exp((field x − ½ curvature x²)/T) over all x, for each field."""
    xp = field.__array_namespace__()
    return field**2 / (2 * temperature * curvature) + 0.5 * xp.log(2 * np.pi * temperature / curvature)


def _check_shape(name, value):
    """Raise `ValueError` unless a layer's shape is a tuple of whole numbers above 0."""
    if not isinstance(value, tuple):
        raise ValueError(f"{name} must be a tuple of whole numbers, such as (28, 28); got {value!r:.80}")
    for i, size in enumerate(value):
        checks.count(f"{name}[{i}]", size)
