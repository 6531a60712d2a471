"""Rows of `energyam.nn`."""

import math
import tempfile
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax

import energyam as eam
from wrong_use_rows.values import (
    FLAG,
    FLOATS,
    FRACTION,
    HUGE,
    INSTANCE,
    KEY,
    KEYS,
    NAME,
    NO_ROWS,
    ONE_POSITIVE,
    ONES,
    PATH,
    POSITIVE,
    REAL,
    VECTOR,
    WHOLE,
    key_rows,
    without,
)

nn = eam.nn
CELL = nn.FastWeightsCell(2, 3, key=KEY)
ATTENTION = nn.HopfieldAttention(4)
RNN = nn.FastWeightsRNN(CELL, 2, 2, key=KEY)
LSTM = nn.LSTMRNN(2, 3, 2, 2, key=KEY)
CLASSIFIER = nn.FewShotClassifier(jnp.ravel, nn.DotRead())
PICTURES = np.zeros((3, 28, 28), np.float32)
IMAGES = np.zeros((3, 4, 28, 28), np.float32)
NO_IMAGES = [None, "text", [[1], [1, 2]], KEYS, IMAGES * 1j, IMAGES[0], np.zeros((0, 4, 28, 28)), nn.DotRead]
SEQUENCE = [*without(FLOATS), np.ones((3, 5))]
PROJECTED = nn.ProjectedMemory(8, eam.LogSumExp(1.0), 4, key=KEY)
LAYER = eqx.nn.Linear(2, 1, key=KEY)
FOLDER = Path(tempfile.gettempdir())


def loss(model, key):
    return jnp.sum(model.weight**2)


def train(model=LAYER, optimizer=None, loss=loss, num_steps=1, key=KEY, progress=False, **options):
    optimizer = optax.sgd(0.1) if optimizer is None else optimizer
    return nn.train(model, optimizer, loss, num_steps, key=key, progress=progress, **options)


def accuracy(name):
    """A call of `episode_accuracy` with one of its arguments wrong."""
    right = {"model": CLASSIFIER, "images": IMAGES, "num_episodes": 1, "num_ways": 2, "key": KEY}
    return lambda v: nn.episode_accuracy(**(right | {name: v}))


COUNTS = ("num_ways", "num_shots", "num_queries", "num_episodes")

ROWS = [
    (lambda v: nn.FastWeightsCell(v, 3, key=KEY), "input_size", WHOLE),
    (lambda v: nn.FastWeightsCell(2, v, key=KEY), "hidden_size", WHOLE),
    (lambda v: nn.FastWeightsCell(2, 3, num_inner=v, key=KEY), "num_inner", WHOLE),
    (lambda v: nn.FastWeightsCell(2, 3, separate_norms=v, key=KEY), "separate_norms", FLAG),
    (lambda v: nn.FastWeightsCell(2, 3, write=v, key=KEY), "write", NAME),
    (lambda v: nn.FastWeightsCell(2, 3, decay=v, key=KEY), "decay", [[0.1, 0.2], *FRACTION]),
    (lambda v: nn.FastWeightsCell(2, 3, rate=v, key=KEY), "rate", ONE_POSITIVE),
    (lambda v: nn.FastWeightsRNN(v, 2, key=KEY), "cell", [nn.FastWeightsCell, LSTM, None, *INSTANCE]),
    (lambda v: nn.FastWeightsRNN(CELL, v, key=KEY), "output_size", WHOLE),
    (lambda v: nn.FastWeightsRNN(CELL, 2, v, key=KEY), "head_size", WHOLE),
    (lambda v: nn.FastWeightsRNN(CELL, 2, 2, v, key=KEY), "form", NAME),
    (lambda v: nn.FastWeightsRNN(CELL, 2, 2, vocabulary=v, key=KEY), "vocabulary", WHOLE),
    (RNN, "inputs", SEQUENCE),
    (RNN.memories, "inputs", SEQUENCE),
    (lambda v: nn.LSTMRNN(v, 3, 2, key=KEY), "input_size", WHOLE),
    (lambda v: nn.LSTMRNN(2, v, 2, key=KEY), "hidden_size", WHOLE),
    (lambda v: nn.LSTMRNN(2, 3, v, key=KEY), "output_size", WHOLE),
    (lambda v: nn.LSTMRNN(2, 3, 2, v, key=KEY), "head_size", WHOLE),
    (LSTM, "inputs", SEQUENCE),
    (lambda v: nn.ConvEmbedding(v, key=KEY), "size", WHOLE),
    (lambda v: nn.FewShotClassifier(v, nn.DotRead()), "embed", [None, 3, "text", nn.ConvEmbedding, KEY]),
    (lambda v: nn.FewShotClassifier(jnp.ravel, v), "read", [nn.DotRead, jnp.ravel, None, *INSTANCE]),
    (lambda v: CLASSIFIER(v, [0, 1, 2], PICTURES, 3),
     "support", [PICTURES[0], PICTURES[:, 1:], "text", KEYS]),
    (lambda v: CLASSIFIER(PICTURES, v, PICTURES, 3),
     "labels", [[0, 1], [0.0, 1.0, 2.0], [0, 1, 5], None, KEY]),
    (lambda v: CLASSIFIER(PICTURES, [0, 1, 2], v, 3), "queries", [PICTURES[0], PICTURES > 0, None, KEYS]),
    (lambda v: CLASSIFIER(PICTURES, [0, 1, 2], PICTURES, v), "num_classes", WHOLE),
    (nn.EpisodeLoss, "images", NO_IMAGES),
    (lambda v: nn.EpisodeLoss(IMAGES, v), "kind", NAME),
    *[(lambda v, name=name: nn.EpisodeLoss(IMAGES, **{name: v}), name, WHOLE) for name in COUNTS],
    (lambda v: nn.EpisodeLoss(IMAGES, num_classes=v), "num_classes", [1, *without(WHOLE, None)]),
    (lambda v: nn.EpisodeLoss(IMAGES, augment=v), "augment", [3, "text", nn.DotRead, KEY]),
    (lambda v: nn.EpisodeLoss(IMAGES, corrupt=v), "corrupt", [3, "text", nn.DotRead, KEY]),
    (accuracy("corrupt"), "corrupt", [3, "text", nn.DotRead, KEY]),
    (accuracy("model"), "model", [nn.FewShotClassifier, nn.DotRead(), None, *INSTANCE]),
    (accuracy("images"), "images", NO_IMAGES),
    *[(accuracy(name), name, WHOLE) for name in COUNTS],
    (nn.HopfieldAttention, "size", WHOLE),
    (lambda v: nn.HopfieldAttention(4, num_heads=v), "num_heads", [3, *WHOLE]),
    (lambda v: nn.HopfieldAttention(4, stored_size=v), "stored_size", [3, *WHOLE]),
    (lambda v: nn.HopfieldAttention(4, num_steps=v), "num_steps", WHOLE),
    (lambda v: nn.HopfieldAttention(4, hidden_size=4, key=v), "key", [None]),
    (lambda v: nn.HopfieldAttention(4, beta=v), "beta", without(POSITIVE, None)),
    (lambda v: ATTENTION(v, np.ones((3, 4))), "queries", FLOATS),
    (lambda v: ATTENTION(np.ones((3, 4)), v), "stored", FLOATS),
    (lambda v: nn.HopfieldPooling(ATTENTION, v, key=KEY), "num_queries", WHOLE),
    (lambda v: nn.HopfieldLookup(ATTENTION, v, key=KEY), "num_patterns", WHOLE),
    (lambda v: nn.HopfieldLookup(ATTENTION, 3, v, key=KEY), "value_size", WHOLE),
    (lambda v: nn.ProjectedMemory(v, eam.Quadratic(), key=KEY), "size", WHOLE),
    (lambda v: nn.ProjectedMemory(8, v, key=KEY), "separation", [eam.Quadratic, None, eam.Dot(), *INSTANCE]),
    (lambda v: nn.ProjectedMemory(8, eam.Quadratic(), v, key=KEY), "latent_size", WHOLE),
    (lambda v: nn.ProjectedMemory(8, eam.Quadratic(), 4, v, key=KEY), "train_separation", FLAG),
    (lambda v: PROJECTED(v, REAL), "query", VECTOR),
    (lambda v: PROJECTED(REAL[0], v), "stored", [np.ones((3, 5)), *FLOATS]),
    (nn.ReconstructionLoss, "stored", FLOATS),
    (lambda v: nn.ReconstructionLoss(REAL, v), "batch_size", WHOLE),
    (lambda v: nn.ReconstructionLoss(REAL, 2, v), "low", [[0.1, 0.2], *FRACTION]),
    (lambda v: nn.perturb(v, 0.5, key=KEY), "vectors", [np.ones((3, 1)), *without(FLOATS, ONES, NO_ROWS)]),
    (lambda v: nn.perturb(REAL, v, key=KEY),
     "cosine", [1.5, -2, [0.1, 0.2], math.nan, HUGE, 1j, "3", None, KEY]),
    (nn.CosineRead, "beta", ONE_POSITIVE),
    (nn.SettledRead, "read", [nn.DotRead, jnp.ravel, None, *INSTANCE]),
    (lambda v: nn.SettledRead(nn.DotRead(), v), "beta", ONE_POSITIVE),
    (lambda v: nn.SettledRead(nn.DotRead(), share=v), "share", [[0.1, 0.2], *FRACTION]),
    (lambda v: nn.SettledRead(nn.DotRead(), num_steps=v), "num_steps", WHOLE),
    (nn.AttractorRead, "size", WHOLE),
    (lambda v: nn.AttractorRead(8, v), "memory", NAME),
    (lambda v: nn.AttractorRead(8, num_inner=v), "num_inner", WHOLE),
    (lambda v: nn.AttractorRead(8, rate=v), "rate", [[1.0, 2.0], *without(POSITIVE, None)]),
    (lambda v: train(model=v), "model", [None, 3, "text", eam.CHN, [1, 2]]),
    (lambda v: train(optimizer=v), "optimizer", [3, "adam", optax.sgd, LAYER, optax.GradientTransformation]),
    (lambda v: train(loss=v), "loss", [None, 3, "text", LAYER.weight, eam.CHN]),
    (lambda v: train(num_steps=v), "num_steps", WHOLE),
    (lambda v: train(every=v), "every", WHOLE),
    (lambda v: train(evaluate=v), "evaluate", [3, "text", eam.CHN, KEY]),
    (lambda v: train(checkpoint=v), "checkpoint", [FOLDER, *without(PATH, None)]),
    (lambda v: train(scan=v), "scan", FLAG),
    (lambda v: train(progress=v), "progress", FLAG),
    *key_rows(
        lambda v: nn.FastWeightsCell(2, 3, key=v),
        lambda v: nn.FastWeightsRNN(CELL, 2, key=v),
        lambda v: nn.LSTMRNN(2, 3, 2, key=v),
        lambda v: nn.ConvEmbedding(2, key=v),
        accuracy("key"),
        lambda v: nn.ProjectedMemory(8, eam.Quadratic(), key=v),
        lambda v: nn.perturb(REAL, 0.5, key=v),
        lambda v: train(key=v),
    ),
]  # fmt: skip
