"""The embedded glyphs, flipped bits, masked halves and random patterns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam
from energyam.datasets import flip_bits, glyph_names, glyphs, mask_half, random_patterns


@pytest.fixture(scope="module")
def pictures():
    return glyphs()


def test_glyphs_are_ink_on_paper_and_named(pictures):
    assert pictures.shape == (1024, 48, 48) and pictures.dtype == np.int8
    assert set(np.unique(pictures)) == {-1, 1}
    names = glyph_names()
    assert len(names) == len(set(names)) == 1024
    assert names[:2] == ["DIGIT ZERO", "DIGIT ONE"]
    assert pictures[0, 0, 0] == 1 and pictures[1, 24, 24] == -1  # paper in the corner, ink in the stroke


def test_no_two_glyphs_are_near_duplicates(pictures):
    patterns = pictures.reshape(1024, -1).astype(np.float32)
    overlaps = patterns @ patterns.T / patterns.shape[1]
    assert overlaps[~np.eye(1024, dtype=bool)].max() <= 0.7
    assert overlaps.min() > -0.7


def test_flip_bits_flips_an_exact_count(getkey):
    patterns = random_patterns(getkey(), 6, 40).reshape(2, 3, 40)
    flipped = flip_bits(getkey(), patterns, 0.25)
    assert flipped.dtype == jnp.int8
    assert (jnp.sum(flipped != patterns, axis=-1) == 10).all()
    assert len(np.unique(np.asarray(flipped != patterns).reshape(6, 40), axis=0)) > 1
    assert (flip_bits(getkey(), patterns, 1.0) == -patterns).all()
    assert (flip_bits(getkey(), patterns, 0.0) == patterns).all()


def test_flip_bits_one_by_one_varies(getkey):
    patterns = jnp.ones((50, 400), jnp.int8)
    counts = jnp.sum(flip_bits(getkey(), patterns, 0.2, exact=False) == -1, axis=-1)
    assert len(np.unique(counts)) > 5
    assert abs(float(counts.mean()) / 400 - 0.2) < 0.02


def test_flip_bits_under_jit_takes_a_traced_fraction(getkey):
    key, patterns = getkey(), jnp.ones((3, 20), jnp.int8)
    assert (jax.jit(flip_bits)(key, patterns, 0.3) == flip_bits(key, patterns, 0.3)).all()


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_mask_half_keeps_what_is_known(getkey, side, pictures):
    masked, known = mask_half(getkey(), pictures[:5], side)
    assert known.sum() == 48 * 24
    assert (np.asarray(masked)[:, np.asarray(known)] == pictures[:5][:, np.asarray(known)]).all()
    lost = np.asarray(masked)[:, ~np.asarray(known)]
    assert abs(lost.mean()) < 0.1
    corner = {"top": (-1, 0), "left": (0, -1)}.get(side, (0, 0))
    assert known[corner]


def test_a_lost_half_is_completed(getkey, pictures):
    patterns = pictures[:20].reshape(20, -1)
    masked, known = mask_half(getkey(), pictures[3], "left")
    memory = eam.ExponentialDenseAM(patterns, beta=1.0)
    result = eam.recall(memory, masked.ravel(), clamp=known.ravel(), key=getkey())
    assert (result.state == patterns[3]).all()


def test_random_patterns_have_the_asked_bias_and_correlation(getkey):
    patterns = np.asarray(random_patterns(getkey(), 40, 4000, bias=0.4, correlation=0.25), float)
    assert abs(patterns.mean() - 0.4) < 0.03
    pairs = np.cov(patterns)[np.triu_indices(40, 1)]
    assert abs(pairs.mean() - 0.25 * (1 - 0.4**2)) < 0.03
    assert random_patterns(getkey(), 3, 5).dtype == jnp.int8


def test_bad_noise_is_named(getkey):
    ones = jnp.ones((2, 4, 4), jnp.int8)
    with pytest.raises(ValueError, match=r"fraction must lie between 0 and 1; got 1\.5"):
        flip_bits(getkey(), ones, 1.5)
    with pytest.raises(ValueError, match=r"patterns must be .* entries ±1"):
        flip_bits(getkey(), 0 * ones, 0.5)
    with pytest.raises(ValueError, match="side must be one of top, bottom, left, right; got 'middle'"):
        mask_half(getkey(), ones, "middle")
    with pytest.raises(ValueError, match="pictures must be"):
        mask_half(getkey(), jnp.ones(4), "top")
    with pytest.raises(ValueError, match="bias"):
        random_patterns(getkey(), 2, 3, bias=1.2)
    with pytest.raises(ValueError, match="correlation"):
        random_patterns(getkey(), 2, 3, correlation=-0.1)
    with pytest.raises(ValueError, match="num_patterns"):
        random_patterns(getkey(), 0, 3)
