"""Rows of sampling rules and of memories that grow or join others."""

import energyam as eam
from wrong_use_rows.values import KEY, NAME, ONE_POSITIVE, REAL, WHOLE, X, key_rows

SOFT = eam.ExponentialDenseAM(X, 0.5)
TEMPERATURE = [-1.0, "3", [1.0, 2.0]]

ROWS = [
    *[(rule, "temperature", TEMPERATURE) for rule in (eam.HeatBath, eam.Metropolis, eam.BlockGibbs)],
    *[(lambda v, r=r: r(0.1, v), "temperature", TEMPERATURE) for r in (eam.Langevin, eam.DiscreteLangevin)],
    (lambda v: eam.evaluation.sample_exactly(v, 2, key=KEY), "memory", [eam.CHN(X), None, X]),
    (lambda v: eam.evaluation.sample_exactly(SOFT, v, key=KEY), "num_samples", WHOLE),
    (lambda v: eam.evaluation.sample_exactly(SOFT, 2, v, key=KEY), "temperature", [0.7, *ONE_POSITIVE]),
    *key_rows(lambda v: eam.evaluation.sample_exactly(SOFT, 2, key=v)),
    *[(lambda v, rule=rule: rule(1.0, v), "order", NAME) for rule in (eam.HeatBath, eam.Metropolis)],
    *[(rule, "step_size", [-1.0, "3"]) for rule in (eam.Langevin, eam.DiscreteLangevin)],
    (lambda v: eam.KeyValueMemory(REAL, X, v, capacity=8), "separation", [eam.Quadratic, None, 0]),
    (lambda v: eam.KeyValueMemory(REAL, X, eam.Quadratic(), capacity=v), "capacity", WHOLE),
]
