"""Neurons: what values a layer takes, the energy they cost, how they move, and how they answer a field."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, PRNGKeyArray, Shaped

from energyam import checks
from energyam.abilities import check_written, optional
from energyam.on_disk import AnyArray, RowsLike
from energyam.shown import shown

Shape = tuple[int, ...] | None
Layer = Float[Array, "..."]
Number = Float[Array, ""]
Wide = Float[Array | np.ndarray, "..."]  # of numpy in double precision, where that matters


@shown()
class AbstractNeurons(eqx.Module):
    """The neurons of one layer: their values, their energy R(x), and argmin_x R(x) − field · x.

    With a convex Lagrangian L of the literature, R is its Legendre dual and `respond` is ∇L. `shape` is the
    shape of the layer if a memory of several layers needs it, else None. R is a sum over the neurons, unless
    they are `coupled`.

    **Optional values:** `values`, the two values of a two-valued neuron, the lower one first: single neurons
    can then flip, which asynchronous recall, heat baths, local minima and exact sums need. `unit`, how many
    entries of the last axis move together, q for one-hot units, where a last axis may hold several units.
    `coupled`, True where neurons constrain one another along the last axis, as on a sphere: a clamp that
    holds some of them and leaves others is then refused.

        >>> class Dead(eam.AbstractNeurons):  # they answer large fields alone
        ...     def check(self, name, states, dims):
        ...         return states
        ...     def energy(self, state):
        ...         return 0.5 * jnp.sum(state**2) + jnp.sum(jnp.abs(state))
        ...     def respond(self, field, state, curvature=0.0):
        ...         return jnp.sign(field) * jnp.maximum(jnp.abs(field) - 1, 0)
        ...     def retract(self, state):
        ...         return state
        ...
        >>> Dead().respond(jnp.array([-3.0, 0.5, 2.0]), jnp.zeros(3))
        Array([-2.,  0.,  1.], dtype=float32)
    """

    shape = None  # type: Any  # no annotations, which would make them fields
    values = None  # type: tuple[int | float, int | float] | None
    unit = None  # type: int | None
    coupled = False

    def __init_subclass__(cls, **options: Any):
        check_written(cls, AbstractNeurons, **options)

    def __check_init__(self):
        if self.shape is not None:
            _check_shape("shape", self.shape)

    @abc.abstractmethod
    def check(self, name: str, states: RowsLike, dims: str) -> Shaped[AnyArray, "..."]:
        """`states` as an array of such neurons; raises `ValueError` if they can't be."""

    @abc.abstractmethod
    def energy(self, state: Layer) -> Number:
        """R(x), a scalar for one layer."""

    @abc.abstractmethod
    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        """argmin_x R(x) + ½ curvature ‖x‖² − field · x; neurons without a pull stay as in `state`."""

    @abc.abstractmethod
    def retract(self, state: Layer) -> Layer:
        """The nearest state that these neurons can take."""

    @optional
    def others(self, state: Layer | np.ndarray) -> Layer | np.ndarray | None:
        """The other values: of two-valued neurons elementwise, of a one-hot unit of q values the q − 1 other
        rows (q − 1, q) for its row (q,). Write it for units; for two-valued neurons it is derived."""
        return None if self.values is None else sum(self.values) - state

    @optional
    def check_patterns(self, patterns: Num[AnyArray, "K D"]) -> Num[AnyArray, "K D"]:
        """Patterns as an array, for memories of these neurons. By default any finite floats are allowed, and
        whole numbers −1 and 1 (for neurons 0/1 also 0). Write it if a pattern must be a state, as on a
        sphere."""
        if self.values in ((-1, 1), (0, 1)) and jnp.issubdtype(patterns.dtype, jnp.integer):
            return whole_patterns(patterns, self)
        return checks.as_floats("patterns", patterns, "K D")

    @optional
    def lagrangian(self, field: Layer) -> Number | None:
        """L(x), a scalar for the field of one layer, whose gradient is the answer to the field. Write it if
        it is known in closed form."""
        return None

    @optional
    def draw(
        self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray
    ) -> Layer | None:
        """Neurons x drawn from exp((field · x − ½ curvature ‖x‖² − R(x))/T), independently of each other.
        Write it so that `BlockGibbs` can draw whole layers and annealed sums have a start."""
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


class Binary(AbstractNeurons):
    """Neurons ±1: R = 0, and the answer to a field is its sign.

    >>> eam.Binary().respond(jnp.array([0.3, -2.0, 0.0]), jnp.array([1.0, 1.0, -1.0]))  # a tie: it stays
    Array([ 1., -1., -1.], dtype=float32)
    """

    shape: Shape = eqx.field(static=True, default=None)
    values = (-1, 1)

    def check(self, name: str, states: RowsLike, dims: str) -> Shaped[AnyArray, "..."]:
        return checks.as_binary(name, states, dims)

    def check_patterns(self, patterns: Num[AnyArray, "K D"]) -> Num[AnyArray, "K D"]:
        if jnp.issubdtype(patterns.dtype, jnp.floating):
            return checks.as_floats("patterns", patterns, "K D")
        return checks.as_binary("patterns", patterns, "K D")

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        return jnp.where(field == 0, state, jnp.sign(field))

    def retract(self, state: Layer) -> Layer:
        return jnp.where(state < 0, -1, 1).astype(state.dtype)

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _drawn_of_two(2 * field, (-1, 1), temperature, key=key)  # P(x = 1) = σ(2 field/T)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        h = field / temperature
        return field.__array_namespace__().logaddexp(h, -h) - 0.5 * curvature / temperature


class ZeroOne(AbstractNeurons):
    """Neurons 0 or 1: R = 0, and the answer to a field is 1 where it is positive.

    Sparse memories such as Willshaw's use them, and Boltzmann machines.

        >>> network = eam.HopfieldNetwork(-jnp.ones((2, 2)), jnp.array([2.0, 1.0]), eam.ZeroOne())
        >>> eam.recall(network, jnp.array([0, 1]), key=jr.key(0)).state  # one of the two may be 1
        Array([1, 0], dtype=int32)
    """

    shape: Shape = eqx.field(static=True, default=None)
    values = (0, 1)

    def check(self, name: str, states: RowsLike, dims: str) -> Shaped[AnyArray, "..."]:
        return as_zero_one(name, states, dims)

    def check_patterns(self, patterns: Num[AnyArray, "K D"]) -> Num[AnyArray, "K D"]:
        if jnp.issubdtype(patterns.dtype, jnp.floating):
            return checks.as_floats("patterns", patterns, "K D")
        if patterns.dtype == bool:
            return patterns.astype(jnp.int8)
        return whole_patterns(patterns, self)

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        pull = field - 0.5 * jnp.asarray(curvature, field.dtype)
        return jnp.where(pull == 0, state, jnp.where(pull > 0, 1, jnp.where(pull < 0, 0, pull)))

    def retract(self, state: Layer) -> Layer:
        return jnp.where(state < 0.5, 0, 1).astype(state.dtype)

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _drawn_of_two(field - 0.5 * curvature, (0, 1), temperature, key=key)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        return field.__array_namespace__().logaddexp(0 * field, (field - 0.5 * curvature) / temperature)


def is_curved(neurons: AbstractNeurons) -> bool:
    """Whether neurons lie on a curved surface, and know its shortest ways."""
    return neurons.tangent(jnp.ones(1), jnp.zeros(1)) is not None


def is_movable(neurons: AbstractNeurons) -> bool:
    """Whether neurons have single moves; raises `ValueError` if their `values` or `others` are not what they
    must be."""
    two, unit = neurons.values is not None, neurons.unit or 3
    called = f"others of {type(neurons).__name__}"
    dtype: Any = jnp.result_type(float)
    with jax.ensure_compile_time_eval():  # known inside `jit` too
        start = np.asarray(neurons.values, dtype) if two else np.eye(unit, dtype=dtype)[0]
        found: Any = neurons.others(start)
    if found is None and not two:
        return False
    if two and (found is None or jnp.shape(found) != (2,)):
        raise ValueError(f"{called} must be like the state, elementwise; got {found}")
    if not two and jnp.shape(found) != (unit - 1, unit):
        raise ValueError(
            f"{called} must be {(unit - 1, unit)} for a row of {unit} values; got {jnp.shape(found)}"
        )
    if not checks.is_known(found):
        return True
    found = np.asarray(found)
    if two and not np.allclose(found, start[::-1], rtol=1e-5, atol=1e-5 * np.ptp(start)):
        raise ValueError(f"{called} must turn each of {neurons.values} into the other; got {found}")
    if not two and (found == start).all(axis=1).any():
        raise ValueError(f"{called} must leave out the value that the unit has; got {found}")
    return True


def cost_nothing(neurons: AbstractNeurons) -> bool:
    """Whether R is known to be 0 for all values that a neuron, or a unit, moves between.

    Moves then need not ask for it. False for neurons that declare neither `values` nor a `unit`.
    """
    if type(neurons) in (Binary, ZeroOne):  # nothing is compiled to see it
        return True
    if neurons.values is None and neurons.unit is None:
        return False
    with jax.ensure_compile_time_eval():
        two = neurons.values is not None
        rows = jnp.asarray(neurons.values, float)[:, None] if two else jnp.eye(neurons.unit)
        costs = jax.vmap(neurons.energy)(rows)
    return checks.is_known(costs) and not np.asarray(costs).any()


def whole_patterns(patterns: Num[Array, "K D"], neurons: AbstractNeurons) -> Num[Array, "K D"]:
    """Whole patterns with entries ±1, or −1, 0 and 1 for neurons 0/1; raises `ValueError` for others."""
    least = 1 if neurons.values == (-1, 1) else 0
    if not checks.passes(lambda x: ((abs(x) <= 1) & (abs(x) >= least)).all(), patterns):
        raise ValueError(
            f"patterns must be (K, D) with whole entries {'−1 or 1' if least else '−1, 0 or 1'} under "
            f"{type(neurons).__name__}(), or floats; got others (patterns * 1.0 makes floats)"
        )
    return patterns.astype(jnp.int8)


def _check_shape(name, value):
    """Raise `ValueError` unless a layer's shape is a tuple of whole numbers above 0."""
    if not isinstance(value, tuple):
        raise ValueError(f"{name} must be a tuple of whole numbers, such as (28, 28); got {value!r:.80}")
    for i, size in enumerate(value):
        checks.count(f"{name}[{i}]", size)


def _drawn_of_two(drive, values, temperature, *, key):
    """The upper value with probability σ(drive/T); NaN where the drive is."""
    drive = drive - temperature * jr.logistic(key, drive.shape, drive.dtype)
    low, high = values
    return jnp.where(drive > 0, high, jnp.where(drive <= 0, low, drive)).astype(drive.dtype)


_are_bits = jax.jit(lambda x: ((x == 0) | (x == 1)).all())
near_one = jax.jit(lambda x: (abs(x - 1) < 1e-2).all())


def as_zero_one(name: str, value: Any, dims: str) -> Shaped[Array, "..."]:
    """`value` as an array of entries 0 and 1: integers and bools become int8 and floats stay as they are."""
    array = checks.as_array(name, value, dims)
    if not checks.passes(_are_bits, array):
        got = np.unique(np.asarray(array, dtype=np.float64))
        shown = ", ".join(f"{v:g}" for v in got[:4]) + (", …" if got.size > 4 else "")
        fix = " (states ±1 become 0/1 by (x + 1) / 2)" if set(got) <= {-1, 1} else ""
        raise ValueError(f"{name} must have entries 0 and 1; got entries {shown}{fix}")
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.int8)
