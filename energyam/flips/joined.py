"""Flips of a state of several parts whose energies add up, each part with flips of its own."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from energyam.flips.capabilities import AbstractEnclosures, Change


class JoinedFlips(AbstractEnclosures):
    """E(x) = Σ_l E_l(x_l) over parts x_l of the state: a flip changes the energy of its own part alone.

    What is kept: what each part keeps. Seen from a block of neurons, every part sees all of them, and those
    that are not its own are passed over.
    """

    parts: tuple[AbstractEnclosures, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)  # neurons of each part
    own: tuple[Bool[Array, " b"], ...] | None = None  # which of a block's neurons are the part's

    def start(self, state: Float[Array, " D"]) -> Any:
        return tuple(part.start(x) for part, x in zip(self.parts, self._pieces(state), strict=True))

    def energy(self, kept: Any, state: Float[Array, " N"]) -> Float[Array, ""]:
        pieces = zip(self.parts, kept, self._pieces(state), strict=True)
        return sum((part.energy(own, x) for part, own, x in pieces), jnp.zeros((), state.dtype))

    def enclosure(
        self, kept: Any, state: Float[Array, " N"]
    ) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
        pieces = zip(self.parts, kept, self._pieces(state), strict=True)
        lows, highs = zip(*(part.enclosure(own, x) for part, own, x in pieces), strict=True)
        if self.own is None:
            return jnp.concatenate(lows), jnp.concatenate(highs)
        return jnp.select(self.own, lows), jnp.select(self.own, highs)

    def change(self, kept: Any, state: Float[Array, " N"], i: Int[Array, ""]) -> Change:
        if self.own is None:
            return self.seen_from(i[None]).change(kept, state[i[None]], jnp.zeros((), int))
        changes = [part.change(one, state, i) for part, one in zip(self.parts, kept, strict=True)]
        values, errors = zip(*changes, strict=True)
        mine = [own[i] for own in self.own]
        return Change(jnp.select(mine, values), jnp.select(mine, errors))

    def flip(self, kept: Any, state: Float[Array, " N"], i: Int[Array, ""]) -> Any:
        if self.own is None:
            return self.seen_from(i[None]).flip(kept, state[i[None]], jnp.zeros((), int))
        # The others see a state of 0 there, whose flip moves nothing.
        pieces = zip(self.parts, kept, self.own, strict=True)
        return tuple(part.flip(one, jnp.where(own, state, 0), i) for part, one, own in pieces)

    def laid_out(self) -> "JoinedFlips":
        laid_out = (part.laid_out() for part in self.parts)
        return JoinedFlips(tuple(laid_out), self.sizes)  # type: ignore[arg-type]

    def seen_from(self, neurons: Int[Array, " b"]) -> "JoinedFlips":
        starts = [sum(self.sizes[:part]) for part in range(len(self.sizes))]
        places = [(neurons - start, size) for start, size in zip(starts, self.sizes, strict=True)]
        own = tuple((at >= 0) & (at < size) for at, size in places)
        seen = (
            part.seen_from(at.clip(0, size - 1)) for part, (at, size) in zip(self.parts, places, strict=True)
        )
        return JoinedFlips(tuple(seen), self.sizes, own)  # type: ignore[arg-type]

    def _pieces(self, state):
        """The part's own neurons of a state, or for each all neurons of a block."""
        if self.own is not None:
            return [state] * len(self.parts)
        return split(state, self.sizes)


def split(state: Float[Array, " D"], sizes: tuple[int, ...]) -> list[Float[Array, " d"]]:
    """The parts of a state, of these sizes."""
    ends = [sum(sizes[: part + 1]) for part in range(len(sizes))]
    return [state[end - size : end] for end, size in zip(ends, sizes, strict=True)]
