"""Data sets: embedded pictures, noise, and data that can be made or downloaded."""

from energyam.names import public_names
from energyam.datasets.bars import bars_and_stripes as bars_and_stripes
from energyam.datasets.episodes import Episode as Episode, add_rotations as add_rotations
from energyam.datasets.episodes import sample_episode as sample_episode, split_classes as split_classes
from energyam.datasets.downloads import FILES as FILES, Digits as Digits, cache_folder as cache_folder
from energyam.datasets.downloads import fetch as fetch, mnist as mnist, sprites as sprites
from energyam.datasets.glyphs import glyph_names as glyph_names, glyphs as glyphs
from energyam.datasets.images import Images as Images, load_image as load_image, load_images as load_images
from energyam.datasets.noise import flip_bits as flip_bits, mask_half as mask_half
from energyam.datasets.noise import random_patterns as random_patterns
from energyam.datasets.retrieval import TOKENS as TOKENS, associative_retrieval as associative_retrieval
from energyam.datasets.retrieval import retrieval_text as retrieval_text
from energyam.datasets.omniglot import Characters as Characters, omniglot as omniglot
from energyam.datasets.strokes import stroke_characters as stroke_characters

__all__, __dir__ = public_names(__name__, also="FILES TOKENS")
