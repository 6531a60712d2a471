"""The embedded pictures: 1,024 named characters, 48 × 48, ±1."""

from importlib import resources

import numpy as np
from jaxtyping import Int8

SIDE = 48


def glyphs() -> Int8[np.ndarray, "1024 48 48"]:
    """1,024 pictures of characters, (1024, 48, 48) int8: ink −1 on paper +1.

    Drawn once from DejaVu Sans Bold by `scripts/make_glyphs.py`, familiar scripts first, no two with an
    overlap above .7 D. `glyphs().reshape(1024, -1)` are patterns of D = 2304 neurons.

        >>> glyphs, names = eam.datasets.glyphs(), eam.datasets.glyph_names()
        >>> glyphs.shape, int(glyphs[names.index("LATIN CAPITAL LETTER A")].min())
        ((1024, 48, 48), -1)
    """
    with resources.files(__package__).joinpath("glyphs.npz").open("rb") as file:
        packed = np.load(file)["bits"]
    bits = np.unpackbits(packed, axis=1).reshape(-1, SIDE, SIDE)
    return 2 * bits.astype(np.int8) - 1


def glyph_names() -> list[str]:
    """The Unicode names of the 1,024 glyphs, in their order.

    >>> eam.datasets.glyph_names()[:2]
    ['DIGIT ZERO', 'DIGIT ONE']
    """
    return resources.files(__package__).joinpath("glyphs.txt").read_text("utf-8").splitlines()
