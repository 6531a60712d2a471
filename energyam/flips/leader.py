"""The short cut behind a leader: one pattern so near the state that it alone decides every flip."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Num

from energyam.flips.derived import weights_of


class Leader(NamedTuple):
    """Whether the nearest pattern leads, which one it is, and its overlap."""

    leads: Bool[Array, ""]
    which: Int[Array, ""]
    overlap: Float[Array, ""]


def find_leader(separation: Any, overlaps: Float[Array, " K"], num_neurons: int) -> Leader:
    """Whether one pattern outweighs all others together, from here on to its last flip.

    A flip the leader agrees to takes its overlap s up by 2 and any other, |s'|, up by 2 at most. So the
    others never come nearer than they would at its last flip, s = D. If even there |F'(s' + 2)| summed over
    all others is lost in the rounding of F'(s − 2), the leader decides each flip, and makes the energy.
    This holds where |F'| grows with the similarity.
    """
    K, D = overlaps.shape[0], num_neurons
    index = jnp.argmax(overlaps)
    s = jnp.max(overlaps)
    others = jnp.max(jnp.abs(overlaps), where=jnp.arange(K) != index, initial=0)
    at_last = jnp.stack([jnp.full_like(s, D - 2), others + (D - s) + 2])
    ahead, behind = jnp.abs(weights_of(separation, at_last))
    outweighs = ahead * jnp.finfo(s.dtype).eps > (K - 1) * behind
    return Leader((s - 2 > others + 2) & outweighs, index, s)


def follow_leader(
    separation: Any,
    patterns: Num[Array, "K D"],
    leader: Leader,
    state: Float[Array, " D"],
    energy: Float[Array, ""],
    order: Int[Array, " t"],
    free: Bool[Array, " D"],
) -> tuple[Float[Array, " D"], Float[Array, ""], Float[Array, " t"], Int[Array, " t"]]:
    """A sweep behind the leader: the free neurons that disagree with it flip, each in its turn."""
    # Indexed by an array of one: a number would make XLA gather sharded patterns from all devices.
    pattern = patterns[leader.which[None]][0].astype(state.dtype)
    flips = (state != pattern) & free
    overlap = leader.overlap + 2 * jnp.cumsum(flips[order])
    energies = -jax.vmap(separation.potential)(overlap[:, None])
    energies = lax.cummin(jnp.minimum(energy, energies))
    return jnp.where(flips, pattern, state), energies[-1], energies, jnp.where(flips[order], order, -1)
