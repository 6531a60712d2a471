"""A learned projection of keys and queries, into a space where any separation weighs them.

One linear map takes stored vectors and query into a space of few dimensions, where their cosines are
weighed; what is read are the stored vectors themselves. Bricken & Pehlevan, "Attention approximates sparse
distributed memory", NeurIPS 2021: 64 dimensions, and weights of circles, caps, or a softmax with their β.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.linalg import dot, unit
from energyam.memories.separation import AbstractSeparation
from energyam.nn.answers import answer_of


class ProjectedMemory(eqx.Module):
    """Reads stored vectors by the cosines of their projections: x̂ = Σ_μ w_μ ξ_μ / Σ_μ w_μ.

    w = separation.weights(cos), cos_μ the cosine of W ξ_μ and W q. A query for which all weights are 0 reads
    itself. All methods take one query; use `jax.vmap` for a batch.

    **Arguments:** `size`: D; `separation`: over cosines, say `CapIntersection(L, radius)`,
    `CircleIntersection(L, radius, cosines=True)`, or `LogSumExp(beta)`; `latent_size`: L; `train_separation`:
    whether training moves the separation's numbers too (β, or the radius of caps); `key`: for W, which starts
    normal with variance 1.

    Raises `ValueError` for sizes below 1, and for what is no separation.

        >>> memory = eam.nn.ProjectedMemory(4, eam.LogSumExp(30.0), latent_size=8, key=jr.key(0))
        >>> stored = jnp.eye(4)
        >>> int(memory(stored[2] + 0.1, stored).argmax())
        2
    """

    projection: Float[Array, "L D"]
    separation: AbstractSeparation = eqx.field(
        converter=partial(checks.instance, "separation", cls=AbstractSeparation)
    )
    train_separation: bool = eqx.field(static=True, converter=partial(checks.flag, "train_separation"))

    def __init__(
        self,
        size: int,
        separation: AbstractSeparation,
        latent_size: int = 64,
        train_separation: bool = False,
        *,
        key: PRNGKeyArray,
    ):
        shape = checks.count("latent_size", latent_size), checks.count("size", size)
        checks.key("key", key)
        self.projection = jr.normal(key, shape)
        self.separation, self.train_separation = separation, train_separation

    def __call__(self, query: ArrayLike, stored: ArrayLike) -> Float[Array, " D"]:
        """The read (D,) of one query (D,) from stored vectors (K, D). Raises `ValueError` for other
        shapes."""
        size = self.projection.shape[1]
        stored = checks.as_floats("stored", stored, f"K {size}")
        query = checks.as_vector("query", query, size)
        separation = self.separation
        if not self.train_separation:
            separation = jax.tree.map(jax.lax.stop_gradient, separation)
        weights = separation.weights(dot(self._project(stored), self._project(query)))
        total = jnp.sum(weights)
        read = dot(weights, stored) / jnp.where(total > 0, total, 1)
        return jnp.where(total > 0, read, query)

    def project(self, vectors: ArrayLike) -> Float[Array, "*batch L"]:
        """Unit vectors along the projections of `vectors` (*batch, D); `ValueError` for another shape."""
        return self._project(checks.as_floats("vectors", vectors, f"... {self.projection.shape[1]}"))

    def _project(self, vectors):
        return unit(dot(vectors, self.projection.T))


class ReconstructionLoss(eqx.Module):
    """‖x̂ − x‖² of a stored vector, read from a perturbed one: a loss for `energyam.nn.train`.

    Each step draws a batch of the stored vectors and perturbs each to a cosine drawn between `low` and 1.

    **Arguments:** `stored` (K, D): keys and targets; `batch_size`; `low`: the smallest cosine.
    Raises `ValueError` for another shape, a batch below 1 or a cosine outside 0 to 1.

        >>> loss = eam.nn.ReconstructionLoss(jnp.eye(4), batch_size=8)
        >>> sharp, flat = (eam.nn.ProjectedMemory(4, eam.LogSumExp(b), 8, key=jr.key(0)) for b in (30.0, 0.1))
        >>> bool(loss(sharp, jr.key(1)) < loss(flat, jr.key(1)))
        True
    """

    stored: Float[Array, "K D"]
    low: Float[Array, ""]
    batch_size: int = eqx.field(static=True)

    def __init__(self, stored: ArrayLike, batch_size: int = 128, low: ArrayLike = 0.75):
        self.stored = checks.as_floats("stored", stored, "K D")
        self.batch_size = checks.count("batch_size", batch_size)
        self.low = checks.fraction("low", low, "").astype(self.stored.dtype)

    def __call__(self, model: Callable[[Array, Array], Array], key: PRNGKeyArray) -> Float[Array, ""]:
        checks.function("model", model)
        checks.key("key", key)
        which, how_far, way = jr.split(key, 3)
        targets = jr.choice(which, self.stored, (self.batch_size,))
        cosines = jr.uniform(how_far, (self.batch_size,), minval=self.low)
        queries = perturb(targets, cosines, key=way)
        reads = jax.vmap(lambda query: answer_of(model(query, self.stored), query.shape))(queries)
        return jnp.mean(jnp.sum((reads - targets) ** 2, axis=1))


def perturb(vectors: ArrayLike, cosine: ArrayLike, *, key: PRNGKeyArray) -> Float[Array, "*batch D"]:
    """Vectors (*batch, D) of the same norms at a given cosine to the originals, in directions drawn evenly.

    q = c u + √(1 − c²) v for the unit vector u and a normal vector v made orthogonal to it, unlike the
    published program, whose directions are drawn from a cube.

    **Arguments:** `vectors`: at least 2 entries each; `cosine`: −1 to 1, a number or (*batch). Raises
    `ValueError` for vectors of one entry or a cosine out of range.

        >>> vector = jnp.array([3.0, 4.0, 0.0])
        >>> moved = eam.nn.perturb(vector, 0.8, key=jr.key(0))
        >>> np.asarray([jnp.linalg.norm(moved), vector @ moved / 25]).round(3)
        array([5. , 0.8], dtype=float32)
    """
    vectors = checks.as_floats("vectors", vectors, "... D")
    if vectors.shape[-1] < 2:
        raise ValueError(f"vectors must have at least 2 entries; got shape {vectors.shape}")
    cosine = checks.as_floats("cosine", cosine, "...")
    checks.within("cosine", cosine, -1, 1)
    checks.key("key", key)
    if cosine.shape not in ((), vectors.shape[:-1]):
        raise ValueError(f"cosine must be a number or {vectors.shape[:-1]}; got shape {cosine.shape}")
    cosine = jnp.broadcast_to(cosine, vectors.shape[:-1])[..., None]
    norm = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    along = vectors / jnp.where(norm > 0, norm, 1)
    across = jr.normal(key, vectors.shape, vectors.dtype)
    across = across - jnp.sum(across * along, axis=-1, keepdims=True) * along
    across = across / jnp.linalg.norm(across, axis=-1, keepdims=True)
    return norm * (cosine * along + jnp.sqrt(1 - cosine**2) * across)
