"""What the atlas cites, so that a reader can find it: authors, title, where it appeared, and the year."""

from typing import NamedTuple


class Source(NamedTuple):
    """One publication. `place` ends with what finds it: a DOI, a number of arXiv, an ISBN, an address."""

    authors: str
    title: str
    place: str
    year: int

    def __str__(self) -> str:
        return f"{self.authors}, “{self.title}”, {self.place} ({self.year})"
