"""The short cut behind a leader: one pattern so near the state that it alone decides every flip."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Num

from energyam.flips.sweep import Moving


class Leader(eqx.Module):
    """The nearest pattern, whether it leads, and its overlap with the state."""

    leads: Bool[Array, ""]
    pattern: Num[Array, " N"]
    overlap: Float[Array, ""]
    separation: Any

    def follow(
        self, neurons: Moving, energy: Float[Array, ""], order: Int[Array, " t"]
    ) -> tuple[Float[Array, " N"], Float[Array, ""], Float[Array, " t"], Int[Array, " t"]]:
        """A sweep behind the leader: the free neurons that bring it nearer move, each in its turn."""
        gains = neurons.steps * self.pattern
        moves = (gains > 0) & neurons.free
        overlap = self.overlap + jnp.cumsum(jnp.where(moves, gains, 0)[order])
        energies = -jax.vmap(self.separation.potential)(overlap[:, None])
        energies = lax.cummin(jnp.minimum(energy, energies))
        state = neurons.state + jnp.where(moves, neurons.steps, 0)
        return state, energies[-1], energies, jnp.where(moves[order], order, -1)


def find_leader(
    separation: Any, patterns: Num[Array, "K N"], overlaps: Float[Array, " K"], values: tuple[int, int]
) -> Leader:
    """Whether one pattern outweighs all others together, from here on to its last flip.

    A flip the leader agrees to takes its overlap s up by h, the distance of the two `values` of a neuron, and
    any other, |s'|, up by h at most. So the others never come nearer than they would at its last flip, where
    s is the most that it can be. If even there |F'(s' + h)| summed over all others is lost in the rounding of
    F'(s − h), the leader decides each flip, and makes the energy. This holds where |F'| grows with the
    similarity. A pattern with entries 0 never leads, as it leaves those neurons undecided.
    """
    K, h = overlaps.shape[0], values[1] - values[0]
    index = jnp.argmax(overlaps)
    s = jnp.max(overlaps)
    # Indexed by an array of one: a number would make XLA gather sharded patterns from all devices.
    pattern = patterns[index[None]][0].astype(s.dtype)
    most = jnp.sum(jnp.where(pattern > 0, values[1] * pattern, values[0] * pattern))
    others = jnp.max(jnp.abs(overlaps), where=jnp.arange(K) != index, initial=0)
    at_last = jnp.stack([most - h, others + (most - s) + h])
    ahead, behind = jnp.abs(separation.weights(at_last))
    outweighs = ahead * jnp.finfo(s.dtype).eps > (K - 1) * behind
    leads = (s - h > others + h) & outweighs & (pattern != 0).all()
    return Leader(leads, pattern, s, separation)
