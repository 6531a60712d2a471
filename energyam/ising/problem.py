"""A problem in the user's labels, with its couplings as given, and the network that is searched for it."""

import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from energyam import checks
from energyam.ising.coefficients import Coefficients
from energyam.ising.terms import Labels
from energyam.memories.hopfield import HopfieldNetwork
from energyam.memories.neurons import AbstractNeurons, Binary, ZeroOne
from energyam.memories.sparse_network import SparseNetwork
from energyam.shown import counted

_FRACTION = 1024  # multiples of its inverse are meant as they stand
_FEW, _SPARSE = 256, 8  # more neurons are held as edges where one in so many pairs, or fewer, is coupled
Answer = Mapping[Hashable, Any] | ArrayLike | Sequence[int | float]  # by label, or in their order


class Slack(NamedTuple):
    """The label of a bit that `at_most` adds; it stands in no answer by label."""

    constraint: int
    place: int


class Constraint(NamedTuple):
    """Σ_i a_i z_i, over variables counted as bits z, must lie from `low` to `high`."""

    name: str
    weights: Mapping[Hashable, Any]
    low: checks.Number
    high: checks.Number

    def holds(self, answer: Mapping[Hashable, Any]) -> bool:
        """Whether it holds for values by their labels."""
        total = sum(a * (answer[label] > 0) for label, a in self.weights.items())
        return bool(self.low - 1e-9 <= total <= self.high + 1e-9)


@jax.tree_util.register_pytree_node_class
class Problem:
    """A quadratic problem in the user's labels: `memory`, `offset`, `labels` and `vartype`.

    Its energy is E(x) + offset of the memory, and it unpacks as `memory, offset = problem`. It also serves as
    a memory itself, whose energies include the offset. It keeps the couplings as you gave them, in double
    precision, and `minimize` computes the energies of its answers from these.

    `memory`: a `HopfieldNetwork`, or a `SparseNetwork` where more than 256 neurons have fewer than one in
    eight of all pairs coupled; `labels` (D,): the label of each neuron; `vartype`: "BINARY" for bits or
    "SPIN" for ±1, as in dimod; `constraints`: those that `one_hot`, `at_most` and `equals` have added.

    Made by `from_qubo`, `from_ising`, `from_bqm` and `max_cut`. Raises `ValueError` for another `vartype`,
    labels that are not D different ones, and other neurons.

        >>> problem = eam.ising.from_qubo(np.array([[-1.0, 2.0], [0.0, -1.0]]))
        >>> memory, offset = problem
        >>> problem.labels, problem.vartype, float(memory.energy(jnp.array([1, -1])) + offset)  # z = (1, 0)
        (range(0, 2), 'BINARY', -1.0)
    """

    def __init__(
        self,
        given: Coefficients,
        labels: Labels,
        vartype: str,
        neurons: AbstractNeurons | None = None,
        constraints: tuple[Constraint, ...] = (),
    ):
        neurons = Binary() if neurons is None else neurons
        if not isinstance(neurons, Binary | ZeroOne) or neurons.shape is not None:
            raise ValueError(f"neurons must be eam.Binary() or eam.ZeroOne(); got {neurons!r:.80}")
        self.given, self.labels = checks.instance("given", given, Coefficients), labels
        self.vartype = checks.one_of("vartype", vartype, ("BINARY", "SPIN"))
        D = given.linear.size
        hashable = isinstance(labels, Sequence) and all(isinstance(label, Hashable) for label in labels)
        if not hashable or len(labels) != D or len(set(labels)) != D:
            raise ValueError(f"labels must be {D} different ones, one for each variable; got {labels!r:.80}")
        if not isinstance(constraints, tuple) or not all(isinstance(c, Constraint) for c in constraints):
            raise ValueError(f"constraints must be a tuple, as at_most makes it; got {constraints!r:.80}")
        self.neurons, self.constraints = neurons, constraints
        self._made: Any = None

    @property
    def memory(self) -> Any:
        """The network, in the values of its neurons; made at the first use."""
        return self._parts[0]

    @property
    def offset(self) -> Float[Array, ""]:
        """The constant to add to the energy of the memory."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[Any, Any]:
        if self._made is None:
            with jax.ensure_compile_time_eval():
                inner = self._inner()
                _check_precision(self.given, inner)
                self._made = network(inner, self.neurons), jnp.asarray(inner.constant, float)
        return self._made

    def _inner(self) -> Coefficients:
        """The energy in the values of the neurons."""
        low, own = self.neurons.values[0], self._low
        if low == own:
            return self.given
        return self.given.substituted(0.5, 0.5) if own == 0 else self.given.substituted(-1.0, 2.0)

    @property
    def _low(self) -> int:
        return 0 if self.vartype == "BINARY" else -1

    def values(self, states: ArrayLike) -> np.ndarray:
        """States (..., D) of the memory as the user's values: bits of a QUBO, else ±1."""
        return np.where(self._rows("states", states) > 0, 1, self._low).astype(np.int8)

    def states(self, values: ArrayLike) -> np.ndarray:
        """The user's values (..., D) as states of the memory."""
        return np.where(self._rows("values", values) > 0, 1, self.neurons.values[0]).astype(np.int8)

    def _rows(self, name, rows):
        """Rows (..., D) of numbers from −1 to 1, on the host; raises `ValueError` for others."""
        checks.within(name, rows, -1, 1)
        array, D = np.asarray(rows), len(self.labels)
        if array.shape[-1:] != (D,):
            raise ValueError(f"{name} must be (..., {D}); got shape {array.shape}")
        return array

    def value(self, answer: Answer, name: str = "answer") -> float:
        """The energy of an answer in the user's values, {label: value} or (D,), in double precision.

        Raises `ValueError` for other values, and for labels that are missing.
        """
        return float(self.given.energies(self.row(answer, name)[None])[0])

    def row(self, answer: Answer, name: str = "answer") -> np.ndarray:
        """An answer as a row of checked values (D,), in double precision."""
        low = self._low
        if isinstance(answer, Mapping):
            missing = [label for label in self.labels if label not in answer]
            if missing:
                raise ValueError(f"{name} must have a value for each label; got none for {missing[0]!r}")
        values: Any = [answer[label] for label in self.labels] if isinstance(answer, Mapping) else answer
        array, D = checks.as_array(name, values, "..."), len(self.labels)
        if array.shape != (D,):
            raise ValueError(f"{name} must be ({D},); got shape {array.shape}")
        if array.dtype == bool and low < 0:
            raise ValueError(f"{name} must have entries −1 and 1; got bools (2 * x.astype(int) - 1)")
        row = np.asarray(array, np.float64)
        if not ((row == low) | (row == 1)).all():
            got, wanted = np.unique(row), "0 and 1, as the variables are bits" if low == 0 else "−1 and 1"
            raise ValueError(f"{name} must have entries {wanted}; got {', '.join(f'{v:g}' for v in got[:4])}")
        return row

    def broken(self, answer: Answer) -> list[str]:
        """The constraints that an answer breaks, {label: value} or (D,), by their names.

        By label it may leave out the bits that `at_most` adds. Raises `ValueError` as `value` does.
        """
        if isinstance(answer, Mapping):
            weighed = {label for one in self.constraints for label in one.weights}
            added = {label for label in self.labels if isinstance(label, Slack)} - weighed
            answer = {**dict.fromkeys(added, self._low), **answer}
        answer = dict(zip(self.labels, self.row(answer), strict=True))
        return [one.name for one in self.constraints if not one.holds(answer)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __repr__(self) -> str:
        few = ", ".join(map(repr, self.labels[:4])) + (", …" if len(self.labels) > 4 else "")
        also = f", {counted(len(self.constraints), 'constraint')}" if self.constraints else ""
        variables, pairs = counted(len(self.labels), "variable"), counted(len(self.given.pairs), "coupling")
        return f"Problem({self.vartype}, {variables} {few}; {pairs}{also})"

    # As a memory.

    @property
    def state_shape(self) -> tuple[int]:
        """(D,), the shape of a state."""
        return (len(self.labels),)

    def energy(self, state: ArrayLike) -> Float[Array, ""]:
        """The energy of one state (D,) of the memory, with the offset."""
        memory, offset = self._parts
        energy = memory.energy(state)
        return energy + offset.astype(energy.dtype)

    def flips(self, exact: bool = True) -> Any:
        """How single moves change the energy, with the offset."""
        memory, offset = self._parts
        flips = memory.flips(exact)
        return flips and eqx.tree_at(lambda f: f.constant, flips, offset.astype(flips.constant.dtype))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.memory, name)

    def tree_flatten(self) -> tuple[Any, Any]:
        """The arrays of a problem, and the rest."""
        return self._parts, (self.given, self.labels, self.vartype, self.neurons, self.constraints)

    @classmethod
    def tree_unflatten(cls, rest: tuple, parts: Iterable) -> "Problem":
        """A problem of its arrays and the rest."""
        new = object.__new__(cls)
        new.given, new.labels, new.vartype, new.neurons, new.constraints = rest
        new._made = tuple(parts)
        return new


def network(energy: Coefficients, neurons: AbstractNeurons) -> Any:
    """The network of an energy, in the values of its neurons."""
    D, pairs, values = energy.linear.size, energy.pairs, -energy.quadratic
    bias = -energy.linear if energy.linear.any() else None
    if D > _FEW and _SPARSE * len(pairs) < D * (D - 1) // 2:
        return SparseNetwork(pairs, values, bias, neurons, dim=D)
    weights = np.zeros((D, D))
    weights[tuple(pairs.T)] = values
    return HopfieldNetwork(weights + weights.T, bias, neurons)


def _check_precision(given: Coefficients, inner: Coefficients) -> None:
    """Warn if the network's floats round the given numbers or their sums; raise if they are out of range."""
    dtype = jnp.result_type(float)
    info, sizes = jnp.finfo(dtype), np.abs(np.concatenate([inner.linear, inner.quadratic]))
    largest, least = sizes.max(initial=0), sizes.min(where=sizes > 0, initial=np.inf)
    if largest > float(info.max) / 4 or 0 < largest < float(info.tiny) / float(info.eps):
        got = f"got {largest:g} as the largest (divide all by it)"
        raise ValueError(f"couplings must lie within the range of {dtype}; {got}")
    numbers = np.concatenate([given.linear, given.quadratic])
    rounded = numbers.astype(dtype).astype(np.float64)
    ends = np.concatenate([np.arange(inner.linear.size), *inner.pairs.T])
    each = np.abs(np.concatenate([inner.linear, inner.quadratic, inner.quadratic]))
    sums = np.bincount(ends, each).max()
    short = (_FRACTION * numbers == np.round(_FRACTION * numbers)).all()  # as whole numbers and halves are
    if short and (rounded != numbers).any():
        k = int(np.argmax(rounded != numbers))
        said = f"{numbers[k]:.17g} becomes {rounded[k]:.17g}"
    elif least < float(info.eps) / 2 * sums:
        said = f"{least:.4g} is lost beside sums of {sums:.4g}"
    else:
        return
    more = "jax.config.update('jax_enable_x64', True) holds more digits"
    warnings.warn(
        f"couplings are rounded to {dtype}: {said}. Searches decide by the rounded ones, and minimize ends "
        f"its answers by those given; {more}",
        stacklevel=3,
    )
