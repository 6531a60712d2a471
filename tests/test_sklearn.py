"""The classifier for scikit-learn: its own checks, and what it reads."""

import importlib
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_estimator

import energyam as eam


@pytest.mark.filterwarnings("ignore:Skipping check")  # of pandas, where it is missing, and of other arrays
def test_it_is_an_estimator_as_scikit_learn_wants_them(no_hook):
    checked = check_estimator(eam.sklearn.MemoryClassifier(), on_fail=None)
    failed = [row for row in checked if row["status"] not in ("passed", "skipped")]
    assert len(checked) > 40 and not failed, failed


def test_it_reads_the_classes_of_kernels_and_of_neighbours():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, np.array(list("abcdefghij"))[y[:300]]
    made = eam.sklearn.MemoryClassifier(beta=3.0).fit(X[:200], y[:200])
    kernel = np.exp(-1.5 * np.square(X[200:, None] - X[None, :200]).sum(axis=2))
    wanted = np.stack([kernel[:, y[:200] == c].sum(axis=1) for c in made.classes_], axis=1)
    np.testing.assert_allclose(
        made.predict_proba(X[200:]), wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6
    )
    nearest = eam.sklearn.MemoryClassifier(k=1)
    theirs = KNeighborsClassifier(1).fit(X[:200], y[:200])
    assert (nearest.fit(X[:200], y[:200]).predict(X[200:]) == theirs.predict(X[200:])).all()
    assert cross_val_score(made, X, y, cv=3).mean() > 0.85


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(beta=0), "beta"),
        (dict(beta="1"), "beta"),
        (dict(k=0), "k must be an integer of at least 1"),
        (dict(similarity="overlap"), "similarity must be one of dot, cosine, distance"),
    ],
)
def test_wrong_settings_are_refused_by_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        eam.sklearn.MemoryClassifier(**arguments).fit(np.eye(3), [0, 1, 1])


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "energyam.sklearn", raising=False)
    with pytest.raises(ImportError, match=r'scikit-learn is missing: pip install "energyam\[sklearn\]"'):
        importlib.import_module("energyam.sklearn")
