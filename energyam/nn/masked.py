"""A separation over some of the patterns: masks of attention."""

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from energyam.memories.separation import AbstractSeparation, Blocks


class Masked(AbstractSeparation):
    """Another separation over some of the patterns; the others, and all if none is left, weigh 0.

    If the sums of the separation join block by block, the others are left out of the sums. Otherwise they get
    the lowest similarity, so that the potential must not grow as similarities fall.
    """

    separation: AbstractSeparation
    mask: Bool[Array, " K"] = eqx.field(converter=jnp.asarray)

    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        blocks = self.separation.blocks()
        if blocks is not None:
            return self._joined(blocks, similarities)[0]
        return self.separation.potential(self._lowered(similarities))

    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        blocks = self.separation.blocks()
        if blocks is not None:
            return self._joined(blocks, similarities)[1]
        return jnp.where(self.mask, self.separation.weights(self._lowered(similarities)), 0)

    def _joined(self, blocks: Blocks, similarities):
        """Potential and weights by the sums over those that take part; a very low potential if none does."""
        some = self.mask.any()
        least = jnp.min(similarities, where=self.mask, initial=jnp.inf)
        filled = jnp.where(self.mask, similarities, jnp.where(some, least, 0))
        scale = lax.stop_gradient(blocks.scale(filled))
        terms, weights = blocks.relative(filled, scale)
        total = jnp.where(some, jnp.sum(jnp.where(self.mask, terms, 0)), 1)
        potential, unit = blocks.total(scale, total)
        return jnp.where(some, potential, _lowest(similarities)), jnp.where(self.mask, unit * weights, 0)

    def _lowered(self, similarities):
        return jnp.where(self.mask, similarities, _lowest(similarities))


def _lowest(similarities):
    # A finite low value: −inf would make NaN of a set that is masked wholly.
    return jnp.finfo(similarities.dtype).min / 4
