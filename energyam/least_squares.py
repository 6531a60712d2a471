"""Least squares and projections, also where rows are dependent or more than the columns."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

_double_precision = getattr(jax if hasattr(jax, "enable_x64") else jax.experimental, "enable_x64")  # noqa: B009


@jax.jit
def least_squares(keys: Float[Array, "K Dk"], values: Float[Array, "K Dv"]) -> Float[Array, "Dk Dv"]:
    """keys⁺ values: by Cholesky and one refinement where that settles, else by `_least_squares_by_svd`.

    The refinement shows how much the squared condition of the Gram matrix costs; it leaves the square of it.
    """
    many = keys.shape[0] > keys.shape[1]
    factor = cho_factor(dot(keys.T, keys) if many else dot(keys, keys.T))

    def solve(targets: Float[Array, "K Dv"]) -> Float[Array, "Dk Dv"]:
        return cho_solve(factor, dot(keys.T, targets)) if many else dot(keys.T, cho_solve(factor, targets))

    first = solve(values)
    correction = solve(values - dot(keys, first))
    pivots = jnp.diagonal(factor[0])
    regular = jnp.min(pivots) ** 2 > pivots.size * jnp.finfo(keys.dtype).eps * jnp.max(pivots) ** 2
    settles = jnp.linalg.norm(correction) < 1e-3 * jnp.linalg.norm(first)  # False for NaN
    by_svd = lambda: _least_squares_by_svd(keys, values)  # noqa: E731
    return jax.lax.cond(regular & settles, lambda: first + correction, by_svd)


def _least_squares_by_svd(keys: Float[Array, "K Dk"], values: Float[Array, "K Dv"]) -> Float[Array, "Dk Dv"]:
    """keys⁺ values, for any keys: through the small factor of keys = Q R (many) or keysᵀ = Q R (few)."""
    many = keys.shape[0] > keys.shape[1]
    Q, R = jnp.linalg.qr(keys if many else keys.T)
    U, s, Vt = jnp.linalg.svd(R if many else R.T)
    kept = s > s[0] * s.size * jnp.finfo(s.dtype).eps
    inverse = jnp.where(kept, 1 / jnp.where(kept, s, 1), 0)[:, None]
    inner = dot(Vt.T, inverse * dot(U.T, dot(Q.T, values) if many else values))
    return inner if many else dot(Q, inner)


@jax.custom_jvp
@jax.jit
@jax.custom_batching.sequential_vmap  # a batched trace would leave the block of double precision
def projection(x: Float[Array, "K D"]) -> Float[Array, "D D"]:
    """X⁺X in double precision, whatever the precision of x, where the platform can decompose so."""

    def in_double(x: Float[Array, "K D"]) -> Float[Array, "D D"]:
        with _double_precision(True):
            return _project(x.astype(jnp.float64)).astype(x.dtype)

    return jax.lax.platform_dependent(x, tpu=_project, default=in_double)


@projection.defjvp
def _projection_jvp(primals, tangents):
    """d(X⁺X) = X⁺ dX (1 - P) and its transpose, while the rank stays."""
    (x,), (moved,) = primals, tangents
    P, inverse = projection(x), least_squares(x, jnp.eye(x.shape[0], dtype=x.dtype))
    half = dot(inverse, moved - dot(moved, P))
    return P, half + half.T


def _project(x: Float[Array, "K D"]) -> Float[Array, "D D"]:
    """X⁺X from the right singular vectors that the patterns span, symmetric, with what is rounding set to 0.

    Rounding turns the span by up to about eps · s_max / s_min; entries within 8 times that are taken for 0,
    as those beside a 1 on the diagonal are: |P_ij|² ≤ (1 - P_ii) (1 - P_jj).
    """
    _, s, Vt = jnp.linalg.svd(x, full_matrices=False)
    eps = jnp.finfo(x.dtype).eps
    kept = s > s[0] * max(x.shape) * eps
    basis = jnp.where(kept[:, None], Vt, 0)
    P = dot(basis.T, basis)
    P = 0.5 * (P + P.T)
    rounding = 8 * eps * s[0] / jnp.min(jnp.where(kept, s, s[0]))
    return jnp.where(jnp.abs(P) > rounding, P, 0)


def dot(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """A product of matrices in the full precision of its factors."""
    return jnp.matmul(a, b, precision="highest")
