"""Rows of sampling rules and of memories that grow or join others."""

from wrong_use_rows.values import NAME, REAL, WHOLE, X

import energyam as eam

TEMPERATURE = [-1.0, "3", [1.0, 2.0]]

ROWS = [
    *[(rule, "temperature", TEMPERATURE) for rule in (eam.HeatBath, eam.Metropolis)],
    *[(lambda v, rule=rule: rule(1.0, v), "order", NAME) for rule in (eam.HeatBath, eam.Metropolis)],
    *[(rule, "step_size", [-1.0, "3"]) for rule in (eam.Langevin, eam.DiscreteLangevin)],
    (lambda v: eam.PaddedKeyValueMemory(REAL, X, v, 8), "separation", [eam.Quadratic, None, 0]),
    (lambda v: eam.PaddedKeyValueMemory(REAL, X, eam.Quadratic(), v), "capacity", WHOLE),
]
