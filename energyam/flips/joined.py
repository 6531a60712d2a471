"""Flips of a state of several parts whose energies add up, each part with flips of its own."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from energyam.flips.abstract import AbstractFlips, Change, Enclosure, Entries, Vector


class JoinedFlips(AbstractFlips):
    """E(x) = Σ_l E_l(x_l) over parts x_l of the state: a flip changes the energy of its own part alone.

    The parts' flips give enclosures. What is kept: what each part keeps. Of a block of neurons every part
    sees all, and those that are not its own move by 0.
    """

    parts: tuple[AbstractFlips, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)  # neurons of each part
    own: tuple[Bool[Array, " b"], ...] | None = None  # which of a block's neurons are the part's

    def start(self, state: Float[Array, " D"]) -> Any:
        return tuple(part.start(x) for part, x in zip(self.parts, split(state, self.sizes), strict=True))

    def energy(self, kept: Any, state: Float[Array, " N"]) -> Float[Array, ""]:
        # No part reads the state: what is kept says the energy.
        energies = (part.energy(own, state) for part, own in zip(self.parts, kept, strict=True))
        return sum(energies, jnp.zeros((), state.dtype))

    def change(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Change:
        if self.own is None:
            return self.block(i).change(kept, state[i], jnp.arange(i.size), step)
        pieces = zip(self.parts, kept, self.own, strict=True)
        changes = [part.change(one, state, i, step) for part, one, _ in pieces]
        mine = [own[i].any() for own in self.own]
        values, errors = zip(*changes, strict=True)
        return Change(jnp.select(mine, values), jnp.select(mine, errors))

    def move(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Any:
        if self.own is None:
            return self.block(i).move(kept, state[i], jnp.arange(i.size), step)
        pieces = zip(self.parts, kept, self.own, strict=True)
        return tuple(part.move(one, state, i, jnp.where(own[i], step, 0)) for part, one, own in pieces)

    def laid_out(self) -> "JoinedFlips":
        return JoinedFlips(tuple(part.laid_out() for part in self.parts), self.sizes)

    def block(self, neurons: Int[Array, " b"]) -> "JoinedFlips":
        starts = [sum(self.sizes[:part]) for part in range(len(self.sizes))]
        places = [(neurons - start, size) for start, size in zip(starts, self.sizes, strict=True)]
        own = tuple((at >= 0) & (at < size) for at, size in places)
        clipped = (at.clip(0, size - 1) for at, size in places)
        seen = (part.block(at) for part, at in zip(self.parts, clipped, strict=True))
        return JoinedFlips(tuple(seen), self.sizes, own)  # type: ignore[arg-type]

    def enclosure(self, kept: Any, steps: Float[Array, " N"]) -> Enclosure:
        pieces = split(steps, self.sizes) if self.own is None else [steps] * len(self.parts)
        enclosed = [part.enclosure(*given) for part, *given in zip(self.parts, kept, pieces, strict=True)]
        lows, highs = zip(*enclosed, strict=True)  # type: ignore[arg-type]
        if self.own is None:
            return Enclosure(jnp.concatenate(lows), jnp.concatenate(highs))
        return Enclosure(jnp.select(self.own, lows), jnp.select(self.own, highs))


def split(state: Float[Array, " D"], sizes: tuple[int, ...]) -> list[Float[Array, " d"]]:
    """The parts of a state, of these sizes."""
    ends = [sum(sizes[: part + 1]) for part in range(len(sizes))]
    return [state[end - size : end] for end, size in zip(ends, sizes, strict=True)]
