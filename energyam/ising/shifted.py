"""The flips of a memory whose energy has a constant added."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float, Int

from energyam.flips.abstract import AbstractFlips, Change, Enclosure, Entries, Moving, Turns, Vector


class ShiftedFlips(AbstractFlips):
    """The flips of a memory, and a number that its energy lacks; nothing that decides a move changes."""

    flips: Any
    offset: Float[Array, ""]

    @property
    def coloured(self) -> bool:  # type: ignore[override]
        return self.flips.coloured

    def start(self, state: Float[Array, " N"]) -> Any:
        return self.flips.start(state)

    def energy(self, kept: Any, state: Float[Array, " N"]) -> Float[Array, ""]:
        energy = self.flips.energy(kept, state)
        return energy + self.offset.astype(energy.dtype)

    def change(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Change:
        return self.flips.change(kept, state, i, step)

    def move(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Any:
        return self.flips.move(kept, state, i, step)

    def attempt(self, kept: Any, state: Vector, i: Entries, step: Vector) -> tuple[Change, Any]:
        return self.flips.attempt(kept, state, i, step)

    def laid_out(self) -> "ShiftedFlips":
        return ShiftedFlips(self.flips.laid_out(), self.offset)

    def block(self, neurons: Int[Array, " b"]) -> AbstractFlips | None:
        return self.flips.block(neurons)

    def changes(self, kept: Any) -> Callable[[Array, Array | None], Change] | None:
        return self.flips.changes(kept)

    def move_all(self, kept: Any, moved: Float[Array, " b"]) -> Any:
        return self.flips.move_all(kept, moved)

    def enclosure(self, kept: Any, steps: Float[Array, " b"]) -> Enclosure | None:
        return self.flips.enclosure(kept, steps)

    def colours(self) -> Int[Array, " N"] | None:
        return self.flips.colours()

    def by_colour(self, kept: Any, neurons: Moving, thresholds: Float[Array, " N"]) -> Turns | None:
        return self.flips.by_colour(kept, neurons, thresholds)

    def leader(self, kept: Any) -> Any:
        return self.flips.leader(kept)

    def own_couplings(self) -> Float[Array, " N"] | None:
        return self.flips.own_couplings()

    def typical_field(self) -> Float[Array, ""] | None:
        return self.flips.typical_field()
