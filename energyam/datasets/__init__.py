"""Data sets: embedded pictures, noise, and what can be made or fetched."""

from energyam.datasets.glyphs import glyph_names as glyph_names, glyphs as glyphs
from energyam.datasets.noise import (
    flip_bits as flip_bits,
    mask_half as mask_half,
    random_patterns as random_patterns,
)
