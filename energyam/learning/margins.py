"""Learning rules based on the stability of each neuron in each pattern: margins, and spectra of patterns."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, ScalarLike

from energyam import checks
from energyam.learning.steps import hollow
from energyam.least_squares import dot

Weights = Float[Array, "D D"]


def stability(weights: ArrayLike, patterns: ArrayLike) -> Float[Array, "K D"]:
    """The margin by which each neuron of each pattern keeps its value, (K, D).

        κ_μi = ξ_μi Σ_{j ≠ i} W_ij ξ_μj / √(Σ_{j ≠ i} W_ij²)

    A pattern is a fixed point if all its entries are positive, and the larger the smallest of them, the more
    wrong neurons are corrected in one step. A neuron without weights has 0. **Arguments:** `weights` (D, D),
    whose diagonal is left out; `patterns` (K, D) with entries ±1. Raises `ValueError` for others. (Krauth &
    Mézard 1987; Gardner 1988.)

        >>> eam.learning.stability(np.array([[0.0, 2.0], [2.0, 0.0]]), jnp.array([[1, 1], [1, -1]]))
        Array([[ 1.,  1.],
               [-1., -1.]], dtype=float32)
    """
    W, x = hollow(checks.as_square("weights", weights)), checks.as_binary("patterns", patterns, "K D")
    if x.shape[1] != W.shape[0]:
        raise ValueError(f"patterns must be (K, {W.shape[0]}), as the weights; got shape {x.shape}")
    x, sizes = x.astype(W.dtype), jnp.linalg.norm(W, axis=1)[None]
    fields = dot(x, W.T)
    return x * jnp.where(sizes > 0, fields / jnp.where(sizes > 0, sizes, 1), 0)


def minover(
    patterns: ArrayLike, num_steps: int = 1000, margin: ScalarLike | None = None, symmetric: bool = True
) -> Weights:
    """Weights of the largest margin: in each step, every neuron learns the pattern that is least stable at
    it.

        W_i <- W_i + ξ_μi ξ_μ,    μ = argmin_μ ξ_μi Σ_j W_ij ξ_μj

    The least `stability` of each neuron approaches the largest that any weights have, with an error of the
    order of 1/√num_steps; for random patterns that is `theory.gardner_margin(K / D)`, up to K = 2D. With a
    `margin` a neuron stops learning once its least stability is beyond it, which is the perceptron rule;
    `stability(weights, patterns)` shows the margin that was reached.

    With `symmetric`, for a `HopfieldNetwork`, each change is written to both W_ij and W_ji; such weights hold
    fewer patterns, and their margin is not the largest possible. Weights that are not symmetric belong in a
    `SequenceNetwork`. The diagonal is zero, and the rows have the norm 1 in the mean square.

    **Arguments:** `patterns` (K, D) with entries ±1; `num_steps`: the largest number of steps; `margin`: at
    least 0; `symmetric`: True or False. Raises `ValueError` for others. (Krauth & Mézard 1987, "Learning
    algorithms with optimal stability in neural networks"; Gardner 1988 for symmetric weights.)

        >>> patterns = eam.datasets.random_patterns(20, 40, key=jr.key(0))
        >>> network = eam.HopfieldNetwork(eam.learning.minover(patterns, 200))
        >>> bool(eam.is_local_minimum(network, patterns).all())
        True
    """
    x = checks.as_binary("patterns", patterns, "K D").astype(float)
    steps, both = checks.count("num_steps", num_steps), checks.flag("symmetric", symmetric)
    least = None if margin is None else checks.not_negative("margin", margin, "").astype(x.dtype)
    return _taught(x, least, steps, both)


@partial(jax.jit, static_argnames="both")
def _taught(x, least, steps, both):
    def unsure(W):  # which pattern is least stable at each neuron, and whether the neuron still learns
        aligned = x * dot(x, W.T)
        wanted = jnp.inf if least is None else least * jnp.linalg.norm(W, axis=1)
        return jnp.argmin(aligned, axis=0), jnp.min(aligned, axis=0) <= wanted

    def teach(at):
        W, (worst, learns), count = at
        change = jnp.where(learns, x[worst, jnp.arange(x.shape[1])], 0)[:, None] * x[worst]
        W = W + hollow(change + change.T if both else change)
        return W, unsure(W), count + 1

    start = jnp.zeros((x.shape[1], x.shape[1]), x.dtype)
    going = lambda at: at[1][1].any() & (at[2] < steps)  # noqa: E731
    W = jax.lax.while_loop(going, teach, (start, unsure(start), 0))[0]
    size = jnp.linalg.norm(W) / jnp.sqrt(x.shape[1])
    return W / jnp.where(size > 0, size, 1)


def dreaming(patterns: ArrayLike, sleep: ScalarLike) -> Weights:
    """Hebb's weights after an amount of sleep, which removes what the patterns have in common.

        W = Xᵀ (1 + t) (1 + t C)⁻¹ X / D, zero diagonal,    C = XXᵀ/D

    Without sleep, t = 0, these are the weights of `hebbian`; with longer sleep they approach those of
    `pseudo_inverse`: an eigenvalue c of the correlations becomes (1 + t) c / (1 + t c). The network holds
    0.138 D random patterns awake, and D after a long sleep. **Arguments:** `patterns` (K, D) with entries ±1;
    `sleep` t, at least 0, a number that may be traced. Raises `ValueError` for others. (Fachechi, Agliari &
    Barra 2019; Hopfield, Feinstein & Palmer 1983 for unlearning, whose one step is `forget`.)

        >>> patterns = eam.datasets.random_patterns(3, 40, key=jr.key(0))
        >>> bool(jnp.allclose(eam.learning.dreaming(patterns, 0.0), eam.hebbian(patterns), atol=1e-6))
        True
    """
    x = checks.as_binary("patterns", patterns, "K D").astype(float)
    t = checks.not_negative("sleep", sleep, "").astype(x.dtype)
    _, sizes, axes = jnp.linalg.svd(x, full_matrices=False)
    c = sizes**2 / x.shape[1]
    return hollow(dot(axes.T * ((1 + t) * c / (1 + t * c))[None], axes))
