"""The outcome of a recall: which pattern it is, with which weight, or what else if it is none."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Num, ScalarLike

from energyam import checks
from energyam.linalg import dot
from energyam.memories.base import AbstractDenseAM, as_state
from energyam.memories.neurons import is_movable
from energyam.memories.reads import of_rows
from energyam.on_disk import AnyArray
from energyam.shown import shown

Index = Int[Array, ""]
Patterns = Float[Array, "K D"]
State = Float[Array, " D"]

_LARGEST_MIXTURE = 7
OUTCOMES = ("pattern", "inverse", "other", "mixture", "spurious")
"""The outcomes of a recall of a known pattern; `outcome` gives an index into these."""
KINDS = ("pattern", "inverse", "mixture", "spurious")
"""The kinds of states; `retrieved` gives an index into these."""


def cosines(patterns: ArrayLike, state: ArrayLike) -> Float[Array, " K"]:
    """The cosine of a state (D,) with each of the patterns (K, D), from −1 to 1.

        m_μ = ξ_μ · x / (‖ξ_μ‖ ‖x‖), which is ξ_μ · x / D for ±1

    A cosine m of ±1 vectors means that a share (1 − m) / 2 of the neurons differs. 0 for a vector of
    zeros. Raises `ValueError` for patterns that are not (K, D) and a state that is not (D,).

        >>> eam.evaluation.cosines(jnp.array([[1, 1, 1, 1], [1, 1, 1, -1]]), jnp.array([1, 1, 1, 1]))
        Array([1. , 0.5], dtype=float32)
    """
    X = checks.as_floats("patterns", patterns, "K D")
    x = checks.as_vector("state", state, X.shape[1])
    return bare_cosines(X, x)


def nearest_pattern(patterns: ArrayLike, state: ArrayLike) -> Index:
    """The index of the pattern (K, D) with the largest cosine with a state (D,), the first among equals.

    Raises `ValueError` as `cosines` does.

        >>> patterns = jnp.array([[1, 1, 1, 1], [1, 1, -1, -1]])
        >>> eam.evaluation.nearest_pattern(patterns, jnp.array([-1, 1, -1, -1]))
        Array(1, dtype=int32)
    """
    return jnp.argmax(cosines(patterns, state))


def outcome(patterns: ArrayLike, state: ArrayLike, target: ArrayLike, tolerance: ScalarLike = 0.05) -> Index:
    """The outcome of a recall of the pattern with index `target`, as an index into `OUTCOMES`.

    0 the pattern; 1 its inverse; 2 another pattern or the inverse of one; 3 a mixture: the sum, or the
    sign of the sum, of up to seven patterns or their inverses; 4 spurious: none of these. "Is" means that
    at most a share `tolerance` of the neurons differs, cosine ≥ 1 − 2·tolerance.

    **Arguments:** `patterns` (K, D), ±1 or real; `state` (D,); `target`, from 0 to K − 1; `tolerance`.
    Raises `ValueError` for other shapes, another target, and a tolerance outside 0 … 1.

    Amit, Gutfreund & Sompolinsky, Phys. Rev. A 32 (1985), for the mixtures.

        >>> patterns = jnp.array([[1, 1, 1, 1], [1, 1, -1, -1]])
        >>> eam.evaluation.OUTCOMES[eam.evaluation.outcome(patterns, -patterns[0], target=0)]
        'inverse'
    """
    checks.fraction("tolerance", tolerance, "")
    m, target = cosines(patterns, state), checks.as_array("target", target, "")
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise ValueError(f"target must be a whole number, the index of a pattern; got dtype {target.dtype}")
    checks.within("target", target, 0, m.shape[0] - 1)
    X, x = jnp.asarray(patterns, m.dtype), jnp.asarray(state, m.dtype)
    return bare_outcome(X, x, m, target, jnp.asarray(tolerance, m.dtype))


@shown(index="pattern", kind=KINDS)
class Retrieved(eqx.Module):
    """Which pattern a state is, by the weights of the memory.

    `index` and `runner_up`: the patterns that weigh most (−1 for the runner-up of a single pattern);
    `weight` and `runner_up_weight`: their shares |w_μ| / Σ |w|; `kind`: an index into `KINDS`.

        >>> memory = eam.ExponentialDenseAM(jnp.array([[1, 1, 1, 1], [1, 1, -1, -1]]), beta=0.5)
        >>> found = eam.evaluation.retrieved(memory, jnp.array([1, 1, 1, 1]))
        >>> int(found.index), eam.evaluation.KINDS[found.kind]
        (0, 'pattern')
    """

    index: Index
    weight: Float[Array, ""]
    runner_up: Index
    runner_up_weight: Float[Array, ""]
    kind: Index


def retrieved(memory: AbstractDenseAM, state: ArrayLike, tolerance: ScalarLike = 0.05) -> Retrieved:
    """Which pattern of a dense memory a state is, its weight, the runner-up, and the kind of state.

        share_μ = |w_μ| / Σ_ν |w_ν|,    w = separation.weights(S(Ξ, x)): the softmax, for a log-sum-exp

    Equal weights, also those that are 0 or underflow, are ranked by similarity. The kinds:

    - 0, a pattern, and 1, the inverse of one: of ±1 neurons at most a share `tolerance` differs; a real state
      is nearer than √(2 tolerance) of the distance from there to the nearest other pattern.
    - 2, a mixture, or metastable: for ±1 neurons as in `outcome`, of up to seven patterns; for real neurons a
    fixed point that is a weighted mean of patterns.
    - 3, spurious: none of these, such as a state without weights, or one that still moves.

    **Arguments:** `memory`: any `AbstractDenseAM`; `state` (D,), use `jax.vmap` for a batch; `tolerance`,
    from 0 to 1. Raises `ValueError` for a memory without patterns, other shapes, or another tolerance.

    Ramsauer et al., ICLR 2021 (metastable states); Amit, Gutfreund & Sompolinsky, Phys. Rev. A 32 (1985).

        >>> memory = eam.ExponentialDenseAM(jnp.array([[1, 1, 1, 1], [1, 1, -1, -1]]), beta=0.5)
        >>> eam.evaluation.retrieved(memory, jnp.array([1, 1, 1, 1]))  # weights e² : 1
        Retrieved(pattern=0, weight=0.8808, runner_up=1, runner_up_weight=0.1192, kind=pattern)
    """
    if not isinstance(memory, AbstractDenseAM):
        hint = "(use evaluation.outcome with the patterns that it has learned)"
        got = f"{type(memory).__name__} {hint}"
        raise ValueError(f"memory must be a dense memory, with patterns that it weighs; got {got}")
    checks.fraction("tolerance", tolerance, "")
    x = as_state(checks.as_vector("state", state, memory.num_neurons), memory.num_neurons)
    return _retrieved(memory, x, jnp.asarray(tolerance, x.dtype))


@eqx.filter_jit
def _retrieved(memory, state, tolerance):
    similarities = of_rows(lambda rows: memory.similarity.of_all(rows, state), (memory.patterns,))
    weights = jnp.abs(memory.separation.weights(similarities))
    shares = weights / jnp.maximum(jnp.sum(weights), jnp.finfo(weights.dtype).tiny)
    none = jnp.full((), -1)
    first = _heaviest(shares, similarities, none)
    second = _heaviest(shares, similarities, first) if shares.shape[0] > 1 else none
    second_share = jnp.where(second < 0, 0, shares[second])
    flips = is_movable(memory.neurons)
    kind = (_kind_of_flipping if flips else _kind_of_real)(memory, state, first, shares, tolerance)
    return Retrieved(first, shares[first], second, second_share, kind)


def _heaviest(shares, similarities, without):
    """The index of the largest share, but for one; among equals of the largest similarity."""
    allowed = jnp.arange(shares.shape[0]) != without
    ties = allowed & (shares == jnp.max(shares, where=allowed, initial=-1))
    return jnp.argmax(jnp.where(ties, similarities, -jnp.inf))


def _kind_of_flipping(memory, state, index, shares, tolerance):
    m = of_rows(lambda rows: bare_cosines(rows.astype(state.dtype), state), (memory.patterns,))
    code = bare_outcome(memory.patterns, state, m, index, tolerance)
    other = jnp.where(jnp.max(m) >= -jnp.min(m), 0, 1)  # a pattern that weighs less than it is near
    return jnp.where(code == 2, other, jnp.array([0, 1, 0, 2, 3])[code])


def _kind_of_real(memory, state, index, shares, tolerance):
    own = memory.patterns[index].astype(state.dtype)
    from_own = lambda rows: jnp.sum((rows.astype(state.dtype) - own[None]) ** 2, axis=1)  # noqa: E731
    gaps = of_rows(from_own, (memory.patterns,))
    gap = jnp.min(gaps, where=gaps > 0, initial=jnp.inf)
    reach = 2 * tolerance * jnp.where(jnp.isfinite(gap), gap, dot(own, own))
    pull = memory.pull(state)
    answer = memory.neurons.respond(pull.field, state, pull.curvature)
    still = (jnp.sum((answer - state) ** 2) <= reach) & (jnp.sum(shares) > 0)
    found = jnp.stack([jnp.sum((state - own) ** 2) <= reach, jnp.sum((state + own) ** 2) <= reach, still])
    return jnp.where(found.any(), jnp.argmax(found), len(found))


def bare_cosines(patterns: Patterns, state: State) -> Float[Array, " K"]:
    """`cosines`, without its checks."""
    sizes = jnp.linalg.norm(patterns, axis=1) * jnp.linalg.norm(state)
    return dot(patterns, state) / jnp.where(sizes > 0, sizes, 1)


def bare_outcome(
    patterns: Num[AnyArray, "K D"],
    state: State,
    cosines: Float[Array, " K"],
    target: Index,
    tolerance: ScalarLike,
) -> Index:
    """`outcome`, without its checks, from the cosines with the patterns."""
    nearest = jax.lax.top_k(jnp.abs(cosines), min(_LARGEST_MIXTURE, patterns.shape[0]))[1]
    sums = jnp.cumsum(jnp.sign(cosines)[nearest, None] * patterns[nearest].astype(state.dtype), axis=0)
    mixture = jnp.max(bare_cosines(jnp.concatenate([sums, jnp.sign(sums)]), state))
    own, least = cosines[target], 1 - 2 * tolerance - 1e-6
    found = jnp.stack([own, -own, jnp.abs(cosines).max(), mixture]) >= least
    return jnp.where(found.any(), jnp.argmax(found), len(found))
