"""Wrong use of unknown entries: each a ValueError that says what to do."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam

X = np.array(patterns(0, 3, 12))
CUE = np.where(np.arange(12) < 4, 0, X[0])
NAN = np.where(np.arange(12) < 4, np.nan, 1.0)
MASKED = np.ma.array(X[0], mask=np.arange(12) < 4)
REAL = X.astype(float)


class EnergyAlone(eqx.Module):
    def energy(self, x):
        return -(jnp.sum(x) ** 2)


WRONG = [
    (eam.CHN, X * 0, {}, "query must have known entries; .* entries are all unknown"),
    (eam.CHN, np.abs(CUE), {}, r"becomes ±1 by 2 \* x - 1\); if 0 means unknown, .*masked_equal\(query, 0\)"),
    (eam.CHN, np.abs(CUE), {"clamp": "known"}, r"2 \* x - 1\); if 0 means unknown"),
    (eam.CHN, np.stack([X[0], X[0] * 0]), {}, r"query must have known entries; .* \(give at least one entry"),
    (eam.CHN, np.ma.masked_all(12, int), {}, "query must have known entries; .* entries are all unknown"),
    (eam.CHN, CUE, {"clamp": np.ones(12, bool)}, "clamp must leave unknown entries free; .* some of query"),
    (eam.CHN, X[0], {"clamp": "known"}, 'clamp="known" holds the known entries of a query, and none is'),
    (eam.CHN, CUE, {"clamp": "unknown"}, "clamp must be bools, or \"known\" .* got 'unknown'"),
    (eam.CHN, CUE * 1.5, {}, "query must be .* with entries ±1; got entries -1.5, 0, 1.5"),
    (eam.CHN, CUE[:5], {}, r"query must be \(\.\.\., 12\)"),
    (eam.CHN, {"a": CUE}, {"clamp": "known"}, "query must"),
    (eam.CHN, [[1, 0], [1]], {"clamp": "known"}, "query must be a numeric array"),
    (eam.CHN, np.ma.array(X[0].astype(str), mask=MASKED.mask), {}, "query must be a numeric array"),
    (lambda X: EnergyAlone(), CUE, {}, "unknown entries, .* EnergyAlone has none"),
    (lambda X: eam.DenseAM(X / 12**0.5, eam.LogSumExp(1.0), eam.Spherical()), NAN, {"clamp": "known"},
     "query must be known or unknown in all neurons .* Spherical"),
    (lambda X: eam.ModernHopfield(X, 1.0), NAN, {}, "query must be finite"),
    (lambda X: eam.ModernHopfield(X, 1.0), NAN * np.nan, {"clamp": "known"}, "have known entries"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "query", "options", "message"), WRONG)
def test_queries(make, query, options, message):
    with pytest.raises(ValueError, match=message):
        eam.recall(make(REAL), query, key=jr.key(0), **options)


def test_only_a_query_has_unknown_entries():
    memory = eam.CHN(X)
    for wrong in (
        lambda: eam.sample(memory, CUE, eam.HeatBath(1.0), 2, key=jr.key(0)),
        lambda: eam.sample(memory, MASKED, eam.HeatBath(1.0), 2, key=jr.key(0)),
        lambda: eam.sample(memory, X[0], eam.HeatBath(1.0), 2, key=jr.key(0), clamp="known"),
        lambda: eam.is_local_minimum(memory, MASKED),
        lambda: memory.energy(MASKED),
        lambda: eam.CHN(MASKED[None]),
    ):
        with pytest.raises(ValueError, match=r"masked entries|entries ±1; got|clamp must be bools"):
            wrong()
