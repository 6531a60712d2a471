"""Wrote the files of this folder, with energyam 0.2.0: `python write.py`, where that version is installed.

A file for each public memory class, separation, similarity, kind of neurons and rule, and `values.json`: the
energies, or what is read, that 0.2.0 gave at fixed states.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import energyam as eam

HERE = pathlib.Path(__file__).parent
K, D = 3, 5
X = np.array([[1, 1, -1, 1, -1], [-1, 1, 1, 1, -1], [1, -1, 1, 1, 1]], np.int8)
R = np.round(np.random.default_rng(0).normal(size=(K, D)), 2).astype(np.float32)
U = R / np.linalg.norm(R, axis=1, keepdims=True)

SIGNS = np.array([[1, -1, 1, 1, -1], [-1, -1, 1, 1, 1]], np.float32)
REALS = 0.5 * R[:2] + 0.25
WITHIN = np.array([[0.1, -0.2, 0.3, 0.4, -0.5], [0.2, 0.1, 0.3, -0.1, 0.0]], np.float32)
SHARES = np.array([[0.1, 0.2, 0.3, 0.3, 0.1], [0.2, 0.2, 0.2, 0.2, 0.2]], np.float32)


def of_signs():
    """Memories of states ±1."""
    by = lambda separation, similarity=None: eam.DenseAM(X, separation, eam.Binary(), similarity)  # noqa: E731
    parts = [eam.ExponentialDenseAM(X[:, :2], 0.7), eam.ExponentialDenseAM(X[:, 2:], 0.7)]
    return {
        "CHN": eam.CHN(X),
        "PolynomialDenseAM": eam.PolynomialDenseAM(X, 3),
        "ExponentialDenseAM": eam.ExponentialDenseAM(X, 0.7),
        "HopfieldNetwork": eam.HopfieldNetwork(eam.hebbian(X)),
        "HopfieldNetwork-biased": eam.HopfieldNetwork(eam.hebbian(X), np.arange(D) / 10),
        "ProductDenseAM": eam.ProductDenseAM(parts),
        "PatternSDM": eam.PatternSDM(X, 2),
        "Linear": by(eam.Linear()),
        "Quadratic": by(eam.Quadratic()),
        "ReLU": by(eam.ReLU()),
        "LogSumExp": by(eam.LogSumExp(0.4, divided=False)),
        "Polynomial-plain": by(eam.Polynomial(4, rectified=False)),
        "Polynomial-real": by(eam.Polynomial(2.5)),
        "CircleIntersection": by(eam.CircleIntersection(D, 2)),
        "TopK": by(eam.TopK(eam.LogSumExp(0.4), 2)),
        "Entmax": by(eam.Entmax(0.3, 1.5)),
        "KSubsets": by(eam.KSubsets(0.2, 2)),
        "LogSumReLU": by(eam.LogSumReLU(0.05), eam.NegativeDistance()),
        "Cosine": by(eam.LogSumExp(4.0), eam.Cosine()),
        "Binary": eam.DenseAM(R, eam.LogSumExp(0.4), eam.Binary((D,))),
    }


def of_reals():
    """Memories of other states, and states of theirs."""
    by = lambda neurons: eam.DenseAM(R, eam.LogSumExp(0.8), neurons)  # noqa: E731
    written = eam.DistributedDenseAM(0.3 * np.tile(R, (2, 1)), 0.5)
    return {
        "ModernHopfield": (eam.ModernHopfield(R, 0.8), REALS),
        "GaussianDenseAM": (eam.GaussianDenseAM(R, 0.8), REALS),
        "EpanechnikovDenseAM": (eam.EpanechnikovDenseAM(R, 0.05), REALS),
        "DistributedDenseAM": (written.write(R[:1]), REALS),
        "Continuous": (by(eam.Continuous((D,))), REALS),
        "Free": (eam.DenseAM(R, eam.LogSumExp(0.8), eam.Free(), eam.NegativeDistance()), REALS),
        "Rectified": (by(eam.Rectified()), SHARES),
        "Sigmoid": (by(eam.Sigmoid(0.5)), SHARES),
        "Tanh": (by(eam.Tanh(0.5)), WITHIN),
        "Softmax": (by(eam.Softmax(0.7)), SHARES),
        "LayerNorm": (by(eam.LayerNorm(1.5, 0.1 * np.ones(D))), WITHIN),
        "Spherical": (eam.DenseAM(U, eam.LogSumExp(3.0), eam.Spherical()), U[::-1][:2]),
        "ContinuousSDM": (eam.ContinuousSDM(U, 2.0), U[::-1][:2]),
    }


def layered():
    """A memory of two layers, and states of it."""
    neurons = {"image": eam.Tanh(0.5, (D,)), "hidden": eam.Softmax(0.7, (K,))}
    memory = eam.HierarchicalMemory(neurons, [(eam.synapses.Dense(R.T), ("image", "hidden"))])
    return memory, {"image": WITHIN, "hidden": SHARES[:, :3] / SHARES[:, :3].sum(axis=1, keepdims=True)}


def reads():
    """What reads a query, and queries."""
    sdm = eam.NeuronSDM(np.concatenate([X, -X, SIGNS.astype(np.int8)]), 2)
    window = np.tile(SIGNS, (1, 2))
    sequence = eam.SequenceNetwork(eam.hebbian(X), 0.5 * eam.hebbian(X), 1)
    return {
        "KeyValueMemory": (eam.KeyValueMemory(R, R[:, :2], eam.LogSumExp(2.0)), REALS),
        "PaddedKeyValueMemory": (eam.PaddedKeyValueMemory(R, R[:, :2], eam.LogSumExp(2.0)), REALS),
        "OnlineAssociator": (eam.OnlineAssociator(D, 2).write(R[0], R[1, :2]), REALS),
        "NeuronSDM": (sdm.write(X[0]), SIGNS),
        "SequenceNetwork": (sequence, window),
        "DenseSequence": (eam.DenseSequence(X, eam.Polynomial(3), stay=0.5, delay=1), window),
    }


def rules():
    """Rules have no energies: what is kept is their fields."""
    return {
        "Asynchronous": eam.Asynchronous("sequential"),
        "Synchronous": eam.Synchronous(1e-5),
        "Relaxation": eam.Relaxation(0.3, decay=False),
        "Blockwise": eam.Blockwise(),
        "GradientDescent": eam.GradientDescent(0.1),
        "LineSearch": eam.LineSearch(),
        "HeatBath": eam.HeatBath(0.7, "uniform"),
        "Metropolis": eam.Metropolis(0.7),
        "Tempering": eam.Tempering([0.5, 1.0], eam.HeatBath(1.0)),
        "DiscreteLangevin": eam.DiscreteLangevin(0.5, 0.7),
        "Langevin": eam.Langevin(0.1, 0.7),
        "BlockGibbs": eam.BlockGibbs(0.7),
    }


def read_of(memory, query):
    """A read, or the field of a memory that has neither energy nor read."""
    method = getattr(memory, "read", None) or getattr(memory, "field", None)
    return memory(query) if method is None else method(query)


def main():
    values = {}

    def write(kind, name, module, states, function):
        eam.save(HERE / f"{name}.safetensors", module)
        found = None if function is None else jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), states)
        values[name] = {"kind": kind, "states": found}
        if function is not None:
            values[name]["values"] = np.asarray(
                jax.vmap(function)(jax.tree.map(jnp.asarray, states))
            ).tolist()

    for name, memory in of_signs().items():
        write("energy", name, memory, SIGNS, memory.energy)
    for name, (memory, states) in of_reals().items():
        write("energy", name, memory, states, memory.energy)
    memory, states = layered()
    write("energy", "HierarchicalMemory", memory, states, memory.energy)
    for name, (memory, queries) in reads().items():
        write("read", name, memory, queries, lambda query, memory=memory: read_of(memory, query))
    for name, rule in rules().items():
        write("rule", name, rule, None, None)
        values[name]["values"] = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(rule)]
    (HERE / "values.json").write_text(json.dumps(values))


if __name__ == "__main__":
    assert eam.__version__ == "0.2.0", eam.__version__
    main()
