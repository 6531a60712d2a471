"""Wrong values by the kind of argument, and the right things that they are tried on."""

import math

import jax.random as jr
import numpy as np

import energyam as eam

HUGE = 10**400
KEY, KEYS = jr.key(0), jr.split(jr.key(0), 3)
X = np.array(jr.rademacher(jr.key(1), (3, 8), dtype="int8"))
REAL = X / math.sqrt(8)
ONES, NO_ROWS, NAN = np.ones(8), np.zeros((0, 8)), [[math.nan]]
COMPLEX, TEXT, RAGGED = np.ones((3, 8)) * 1j, "text", [[1, -1], [1]]

# no K patterns of D real numbers; no ±1 patterns; no one vector of 8
FLOATS = [None, TEXT, RAGGED, COMPLEX, KEYS, 2**40, HUGE, eam.Binary, ONES, NO_ROWS, NAN]
PATTERNS = [*FLOATS, np.eye(3), np.ones((3, 8), bool), np.full((3, 8), 255, np.uint8), lambda: 0]
VECTOR = [None, TEXT, RAGGED, COMPLEX[0], KEYS, HUGE, eam.Binary, np.ones(5), 1.0, [math.nan] * 8]
STATE = [None, TEXT, RAGGED, COMPLEX[0], KEYS, eam.Binary, np.ones(5), 1.0]  # of one energy, traced or not

WHOLE = [0, -1, 2.5, math.nan, math.inf, 2**40, HUGE, 1j, "3", True, [3], int]  # no count
POSITIVE = [0, -1.0, math.nan, math.inf, HUGE, 1j, "3", None, [1.0, "a"], float, KEY]  # no number above 0
ONE_POSITIVE = [1e-50, [1.0, 2.0], *POSITIVE]
TOLERANCE = [-1.0, math.nan, HUGE, 1j, "3", None, [1.0, 2.0], float, KEY]
FRACTION = [-0.1, 1.5, math.nan, HUGE, 1j, "3", None, float]
FLAG = ["yes", 1, None, 0.0, bool]
NAME = ["another", 3, None, ["hebb"], math.nan, str]
KEY_LIKE = [0, None, "0", 1.5, np.zeros(3), KEYS, jr.key, [0, 1]]  # no one random key
INSTANCE = ["sync", 0, X, KEY]  # no instance of any class of ours; beside classes
PATH = [3, None, "", b"x", ["x"], object()]
RADIUS = [-1, 9, 2.5, math.nan, HUGE, 1j, "3", None, [3], int]  # for 8 neurons


def without(values, *left_out):
    """The values without those that are right here."""
    return [value for value in values if not any(value is one for one in left_out)]


def key_rows(*calls):
    """A row for each function that takes a `key` and is right otherwise."""
    return [(call, "key", KEY_LIKE) for call in calls]
