"""Rows of data sets, evaluation, plotting, sharding and the command line."""

import math

import jax
import numpy as np

import energyam as eam
from energyam import cli
from wrong_use_rows.values import (
    COMPLEX,
    FLAG,
    FLOATS,
    FRACTION,
    HUGE,
    KEY,
    KEYS,
    NAME,
    NAN,
    NO_ROWS,
    ONES,
    PATH,
    PATTERNS,
    REAL,
    VECTOR,
    WHOLE,
    X,
    key_rows,
    without,
)

data, evaluation, plotting, sharding = eam.datasets, eam.evaluation, eam.plotting, eam.sharding
IMAGES = np.zeros((3, 4, 6, 6), np.float32)
NO_IMAGES = [None, "text", [[1], [1, 2]], KEYS, IMAGES * 1j, IMAGES[0], np.zeros((0, 4, 6, 6)), eam.Binary]
PICTURES = ["text", [[1, -1], [1]], COMPLEX, KEYS, eam.Binary, np.full((2, 4), math.nan), np.zeros((0, 4))]
SQUARE = np.ones((2, 4, 4), np.int8)
SHAPE = [3, "ab", (3,), (0, 4), (2.5, 4), (1, 2, 3), HUGE, KEY]
MESH = jax.make_mesh((1,), ("rows",))
PICTURE = np.ones((2, 16))
CURVE = {"build": eam.CHN, "draw": lambda key, K: X[:K], "sizes": [1], "repeats": 1, "key": KEY}
QUADRATIC_BOWL = lambda x: (x**2).sum()  # noqa: E731
PIXEL_COUNT = ["text", KEYS, eam.Binary, np.full((2, 4), math.nan), COMPLEX]


def curve(name):
    """A call of `success_curve` with one of its arguments wrong."""
    return lambda v: evaluation.success_curve(**(CURVE | {name: v}))


ROWS = [
    (lambda v: data.flip_bits(v, 0.5, key=KEY), "patterns", without(PATTERNS, ONES, NO_ROWS)),
    (lambda v: data.flip_bits(X, v, key=KEY), "fraction", [[0.1, 0.2], *FRACTION]),
    (lambda v: data.flip_bits(X, 0.5, v, key=KEY), "exact", FLAG),
    (lambda v: data.mask_half(v, key=KEY), "pictures", [X[0], np.eye(4), *PICTURES]),
    (lambda v: data.mask_half(SQUARE, v, key=KEY), "side", NAME),
    (lambda v: data.random_patterns(v, 8, key=KEY), "num_patterns", WHOLE),
    (lambda v: data.random_patterns(3, v, key=KEY), "dim", WHOLE),
    (lambda v: data.random_patterns(3, 8, v, key=KEY), "bias", [-2, [0.1, 0.2], *FRACTION[1:]]),
    (lambda v: data.random_patterns(3, 8, 0, v, key=KEY), "correlation", [[0.1, 0.2], *FRACTION]),
    (lambda v: data.sample_episode(v, 2, key=KEY), "images", NO_IMAGES),
    (lambda v: data.sample_episode(IMAGES, v, key=KEY), "num_ways", [4, *WHOLE]),
    (lambda v: data.sample_episode(IMAGES, 2, v, key=KEY), "num_shots", [4, *WHOLE]),
    (lambda v: data.sample_episode(IMAGES, 2, 1, v, key=KEY), "num_queries", [4, *WHOLE]),
    (lambda v: data.split_classes(v, 2, key=KEY), "images", NO_IMAGES),
    (lambda v: data.split_classes(IMAGES, v, key=KEY), "num_train", [3, *WHOLE]),
    (data.add_rotations, "images", [np.zeros((3, 4, 6, 5)), *NO_IMAGES]),
    (lambda v: data.associative_retrieval(v, key=KEY), "length", [3, 54, *WHOLE]),
    (data.retrieval_text, "inputs", FLOATS),
    (lambda v: data.stroke_characters(v, 2, key=KEY), "num_classes", WHOLE),
    (lambda v: data.stroke_characters(2, v, key=KEY), "num_drawers", WHOLE),
    (lambda v: data.stroke_characters(2, 2, v, key=KEY), "size", WHOLE),
    (lambda v: data.stroke_characters(2, 2, 8, v, key=KEY),
     "jitter", [-1, math.nan, HUGE, 1j, "3", None, [1.0, 2.0]]),
    (data.load_image, "file", [3, None, ["x"], object(), "no such picture.png"]),
    (lambda v: data.load_image("x.png", v), "shape", SHAPE),
    (lambda v: data.load_image("x.png", (4, 4), v), "binary", FLAG),
    (data.load_images, "folder", [3, None, ["x"], object(), "no such folder"]),
    (data.omniglot, "source", [3, None, ["x"], object(), "no such folder"]),
    (lambda v: data.omniglot("x", v), "size", WHOLE),
    (data.fetch, "name", [3, None, "another", ["x"]]),
    (data.mnist, "train", FLAG),
    *key_rows(
        lambda v: data.flip_bits(X, 0.5, key=v),
        lambda v: data.mask_half(SQUARE, key=v),
        lambda v: data.random_patterns(3, 8, key=v),
        lambda v: data.sample_episode(IMAGES, 2, key=v),
        lambda v: data.split_classes(IMAGES, 2, key=v),
        lambda v: data.associative_retrieval(4, key=v),
        lambda v: data.stroke_characters(2, 2, 8, key=v),
    ),
    (lambda v: evaluation.cosines(v, X[0]), "patterns", FLOATS),
    (lambda v: evaluation.cosines(X, v), "state", VECTOR),
    (lambda v: evaluation.nearest_pattern(v, X[0]), "patterns", FLOATS),
    (lambda v: evaluation.nearest_pattern(X, v), "state", VECTOR),
    (lambda v: evaluation.outcome(v, X[0], 0), "patterns", FLOATS),
    (lambda v: evaluation.outcome(X, v, 0), "state", VECTOR),
    (lambda v: evaluation.outcome(X, X[0], 0, v), "tolerance", FRACTION),
    (curve("sizes"), "sizes", [[], [0], [2.5], ["a"], [None], [2**40]]),
    (curve("repeats"), "repeats", WHOLE),
    (plotting.show_patterns, "patterns", PICTURES),
    (plotting.show_patterns, "shape", [np.ones((2, 5))]),
    (lambda v: plotting.show_patterns(PICTURE, v), "shape", SHAPE),
    (lambda v: plotting.show_patterns(PICTURE, columns=v), "columns", WHOLE),
    (lambda v: plotting.show_patterns(PICTURE, title=v), "title", [3, None, ["x"], KEY]),
    (plotting.show_recall, "query", [PICTURE]),
    (lambda v: plotting.show_recall(v, query=PICTURE), "result", PICTURES),
    (lambda v: plotting.show_recall(PICTURE, query=v), "query", PICTURES),
    (lambda v: plotting.show_recall(PICTURE, original=v, query=PICTURE), "original", PICTURES),
    (plotting.animate, "result", [np.ones((2, 2, 2, 4)), *PICTURES]),
    (lambda v: plotting.animate(PICTURE, v), "shape", SHAPE),
    (lambda v: plotting.animate(PICTURE, every=v), "every", WHOLE),
    (lambda v: plotting.animate(PICTURE, energies=v),
     "energies", [[1.0], "text", [math.nan, 1], [1j, 1], KEYS]),
    (lambda v: plotting.animate(PICTURE, columns=v), "columns", WHOLE),
    (lambda v: plotting.animate(PICTURE, fps=v), "fps", WHOLE),
    (lambda v: plotting.animate(PICTURE, beside=v), "beside", [np.ones(5), "text", np.zeros((0, 4))]),
    (lambda v: plotting.animate(PICTURE, labels=v), "labels", ["ab", 3, [1], [], ["a", "b"], KEY]),
    (lambda v: plotting.animate_landscape(QUADRATIC_BOWL, v), "paths", [None, np.ones((2, 3)), "text"]),
    (lambda v: plotting.animate_landscape(QUADRATIC_BOWL, np.ones((2, 2)), fps=v), "fps", WHOLE),
    (lambda v: plotting.show_patterns(PICTURE, rows=v), "rows", ["ab", 3, [1, 2], ["a"] * 9]),
    (evaluation.log_energies, "energies", ["text", [[1, 2], [1]], 1j, eam.Dot]),
    (lambda v: plotting.animate(PICTURE).save(v),
     "path", [3, None, "x.jpg", "x", ["x"], "no such parent/x.gif"]),
    (lambda v: plotting.animate(PICTURE).video(v), "suffix", NAME),
    (plotting.show_landscape,
     "memory", [eam.CHN(X[:, :2]), eam.ModernHopfield(REAL, 1.0), None, 3, "text", eam.CHN]),
    (lambda v: plotting.show_landscape(QUADRATIC_BOWL, v),
     "paths", [[[1.0]], [[math.nan, 1]], "text", KEYS, 3]),
    (lambda v: plotting.show_landscape(QUADRATIC_BOWL, None, v),
     "limits", [(1, 1), (1, 0), 3, None, "ab", (1, 2, 3)]),
    (lambda v: plotting.show_landscape(QUADRATIC_BOWL, None, (0, 1), v), "resolution", WHOLE),
    (lambda v: sharding.shard_patterns(v, MESH, "rows"),
     "memory", [None, "text", X, eam.CHN, eam.Quadratic()]),
    (lambda v: sharding.shard_patterns(eam.CHN(X), v, "rows"), "mesh", [None, "text", 3, X]),
    (lambda v: sharding.shard_patterns(eam.CHN(X), MESH, v), "axis", [None, "columns", 0, ["rows"]]),
    (lambda v: sharding.shard_queries(v, MESH, "rows"), "queries", without(FLOATS, NAN)),
    (lambda v: sharding.shard_queries(X, v, "rows"), "mesh", [None, "text", 3, X]),
    (lambda v: sharding.shard_queries(X, MESH, v), "axis", [None, "columns", 0, ["rows"]]),
    (lambda v: sharding.save_shards(v, eam.CHN(X)), "folder", PATH),
    (lambda v: sharding.save_shards("no such folder", v),
     "memory", [None, "text", X, eam.CHN, eam.Quadratic()]),
    (lambda v: sharding.load_shards(v, MESH, "rows"), "folder", PATH),
    (lambda v: sharding.load_shards(v, MESH, "rows"), "no such folder", ["no such folder"]),
    (cli._key, "seed", [-1, 99999999999999999999, 2**32, 2.5, "3", None]),
]  # fmt: skip
