"""A classifier for scikit-learn: it stores its training set, and reads the classes from this memory."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Shaped

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError:
    raise ImportError('scikit-learn is missing: pip install "energyam[sklearn]"') from None

from energyam import checks
from energyam.memories.associator import KeyValueMemory
from energyam.memories.separations import LogSumExp, TopK
from energyam.memories.similarity import Cosine, Dot, NegativeDistance
from energyam.names import public_names

_SIMILARITIES = {"dot": Dot(), "cosine": Cosine(), "distance": NegativeDistance()}
_BATCH = 64  # queries that are read together, so that one program serves any number of them


class MemoryClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that reads a `KeyValueMemory` of the training set, with rows as keys and classes as
    values.

        P(class c | x) = Σ_{μ of class c} softmax_μ(β S(x_μ, x)),  over the k nearest rows where k is given

    With distances, S = −½‖x_μ − x‖², this is a kernel estimate with Gaussians of variance 1/β (Nadaraya 1964,
    Watson 1964), which for a large β is the nearest neighbour.

    **Arguments:** `beta` β > 0: how sharply weights fall with the distance; `k`: how many of the nearest rows
    count, None for all; `similarity`: "distance", "cosine" or "dot". `fit` checks them, and raises
    `ValueError` for others. It sets `classes_`, and `memory_`, the `KeyValueMemory`.

    The features should have like scales (say by scikit-learn's StandardScaler). The sums are those
    of energyam, in float32 unless JAX has its 64 bits switched on.

        >>> features = np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 1.0]])
        >>> classes = np.array(["low", "low", "high"])
        >>> classifier = eam.sklearn.MemoryClassifier(beta=10.0).fit(features, classes)
        >>> classifier.predict(np.array([[0.9, 0.8]])).tolist()
        ['high']
    """

    def __init__(self, beta: float = 1.0, k: int | None = None, similarity: str = "distance"):
        self.beta = beta
        self.k = k
        self.similarity = similarity

    def fit(self, X: ArrayLike, y: Shaped[ArrayLike, " n"] | Sequence[Any]) -> "MemoryClassifier":
        """Store rows X (n, D) and their classes y (n,). Raises `ValueError` as scikit-learn's do."""
        rows, classes = validate_data(self, X, y)
        check_classification_targets(classes)
        self.classes_, numbers = np.unique(classes, return_inverse=True)
        one_of_each = np.eye(len(self.classes_), dtype=np.float32)
        similarity = checks.one_of("similarity", self.similarity, _SIMILARITIES)
        read: Any = LogSumExp(checks.number("beta", self.beta))
        if self.k is not None:
            read = TopK(read, min(checks.count("k", self.k), len(rows)))
        self.memory_ = KeyValueMemory(rows, one_of_each[numbers], read, _SIMILARITIES[similarity])
        return self

    def predict_proba(self, X: ArrayLike) -> Float[np.ndarray, "n C"]:
        """The probability (n, C) of each class, in the order of `classes_`, for rows X (n, D)."""
        check_is_fitted(self)
        rows = np.asarray(validate_data(self, X, reset=False))
        padded = np.zeros((-(-len(rows) // _BATCH) * _BATCH, rows.shape[1]), jnp.result_type(float))
        padded[: len(rows)] = rows
        batches = padded.reshape(-1, _BATCH, rows.shape[1])
        read = np.concatenate([_read_all(self.memory_, batch) for batch in batches])[: len(rows)]
        return read / read.sum(axis=1, keepdims=True)  # 1 to rounding

    def predict(self, X: ArrayLike) -> Shaped[np.ndarray, " n"]:
        """The most probable class of each row of X (n, D); the first of equals."""
        probable = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[probable]


@eqx.filter_jit
def _read_all(memory, queries):
    return jax.vmap(memory)(queries)


__all__, __dir__ = public_names(__name__)
