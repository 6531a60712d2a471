"""The Hopfield network of weights: E(x) = −½ xᵀWx − bᵀx."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from energyam import checks
from energyam.flips.couplings import CouplingFlips, coupling_flips
from energyam.learning import storkey_step, write
from energyam.learning.steps import hollow
from energyam.linalg import dot
from energyam.memories.base import AbstractMemory, Pull
from energyam.memories.neurons import AbstractNeurons, Binary, cost_nothing


class HopfieldNetwork(AbstractMemory):
    """A network with symmetric weights: E(x) = R(x) − ½ xᵀWx − bᵀx.

    If most weights are 0 (lattices, graphs of low degree) use `SparseNetwork`: its size grows with the number
    of other weights, and it decides many neurons at once.

    The diagonal adds the constant −½ tr W for neurons ±1, and a field −½ W_ii for neurons 0/1; learning rules
    leave it 0.

    **Arguments:** `weights` (D, D): symmetric; `bias` (D,): a field at each neuron, none by default;
    `neurons`: `Binary()` by default, `ZeroOne()`, `Categorical(q)`, graded ones, or your own. Raises
    `ValueError` for another shape, NaN, or weights that are not symmetric (those of a sequence have no
    energy).

    Hopfield, PNAS 79 (1982).

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]), bias=jnp.array([0.5, 0.0]))
        >>> float(network.energy(jnp.array([1, 1]))), float(network.energy(jnp.array([1, -1])))
        (-1.5, 0.5)
    """

    weights: Float[Array, "D D"]
    neurons: AbstractNeurons
    bias: Float[Array, " D"] | None = None

    def __init__(
        self, weights: ArrayLike, bias: ArrayLike | None = None, neurons: AbstractNeurons | None = None
    ):
        array = checks.as_array("weights", weights, "D D")
        if array.shape[0] != array.shape[1]:
            raise ValueError(
                f"weights must be square, (D, D); got shape {array.shape} (the weights that store patterns "
                "(K, D) are eam.hebbian(patterns), or those of another learning rule)"
            )
        self.weights = _mean_with_transpose(checks.as_square("weights", array))
        neurons = Binary() if neurons is None else neurons
        self.neurons = checks.instance("neurons", neurons, AbstractNeurons, " (say eam.Binary())")
        self.bias = None if bias is None else checks.as_vector("bias", bias, array.shape[0])

    def __check_init__(self):
        weights = checks.as_square("weights", self.weights)
        if not checks.passes(_symmetric, weights):
            worst = int(checks.now(lambda w: jnp.argmax(_beyond_rounding(w)), weights))
            i, j = divmod(worst, len(weights))
            got = f"W[{i}, {j}] = {weights[i, j]:.6g} and W[{j}, {i}] = {weights[j, i]:.6g}"
            raise ValueError(
                f"weights must be symmetric; got {got} (the weights that store patterns are "
                "eam.hebbian(patterns); those of a sequence go into eam.SequenceNetwork)"
            )

    @property
    def num_neurons(self) -> int:
        return self.weights.shape[0]

    def write(
        self, patterns: ArrayLike, *, step: Callable[..., Any] = storkey_step, **options: ArrayLike
    ) -> "HopfieldNetwork":
        """The network after patterns (K, D) were written into its weights one by one; the diagonal is set to
        0. `step`: `learning.storkey_step` by default, or another rule that leaves the weights symmetric;
        `options`: keyword arguments of the rule. Raises `ValueError` as `learning.write` does, and if the
        weights are no longer symmetric.
        """
        patterns = checks.as_floats("patterns", patterns, f"K {self.num_neurons}")
        weights = write(self.weights, patterns, step=step, **options)
        return HopfieldNetwork(hollow(weights), self.bias, self.neurons)

    def pull(self, state: Float[Array, " D"]) -> Pull:
        drive, bias = dot(state, self.weights), 0 if self.bias is None else self.bias.astype(state.dtype)
        potential = dot(state, 0.5 * drive + bias)
        return Pull(potential, drive + bias, jnp.zeros((), drive.dtype))

    def driven(self, inputs: Float[Array, " D"]) -> "HopfieldNetwork":
        """The network under an input, which is added to the bias."""
        bias = inputs if self.bias is None else self.bias + inputs.astype(self.bias.dtype)
        return eqx.tree_at(lambda network: network.bias, self, bias, is_leaf=lambda leaf: leaf is None)

    def flips(self, exact: bool = True) -> CouplingFlips | None:
        return coupling_flips(self.weights, self.bias) if cost_nothing(self.neurons) else None


def _beyond_rounding(weights):
    """By how much each pair differs beyond 1e-4 of itself and some rounding, as of a product B diag(d) Bᵀ."""
    size, larger = abs(weights), weights.__array_namespace__().maximum  # of NumPy, or of JAX
    rounding = 16 * jnp.finfo(weights.dtype).eps * size.max()
    return abs(weights - weights.T) - (1e-4 * larger(size, size.T) + rounding)


@jax.jit
def _mean_with_transpose(weights):
    """Weights that are symmetric but for rounding, made so; others as they are."""
    # Halved before they are added: the sum may overflow where the mean does not. Without the barrier XLA
    # would add first.
    half = lax.optimization_barrier(0.5 * weights)
    return jnp.where(_symmetric(weights), half + half.T, weights)


@jax.jit
def _symmetric(weights):
    return (_beyond_rounding(weights) <= 0).all()
