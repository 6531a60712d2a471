"""Claims about Jaeckel's designs: a hard location that looks at a few coordinates of an address alone."""

import math

import numpy as np

from benchmarks.atlas.claim import claim
from benchmarks.atlas.sdm import FIELD, shared
from benchmarks.atlas.sources import JAECKEL
from benchmarks.intervals import share_of


def common(n, k, distance):
    """The share of locations active at two addresses so far apart: none of the k coordinates differs."""
    return 2.0**-k * math.comb(n - distance, k) / math.comb(n, k)


def active(addresses, k, locations, random):
    """Whether each location with k selected coordinates is active at each of the addresses (A, n) of ±1."""
    n = addresses.shape[1]
    coordinates = random.integers(0, n, (locations, k))
    while (again := (np.diff(np.sort(coordinates, axis=1), axis=1) == 0).any(axis=1)).any():
        coordinates[again] = random.integers(0, n, (int(again.sum()), k))
    wanted = random.choice(np.int8([-1, 1]), (locations, k))
    return np.stack([(address[coordinates] == wanted).all(axis=1) for address in addresses])


def _both(distance, quick, everywhere):
    """The share of simulated locations that are active at the first of two addresses, or at both."""
    random, found = np.random.default_rng(distance), []
    x = random.choice(np.int8([-1, 1]), 1000)
    pair = np.stack([x, np.where(np.arange(1000) < distance, -x, x)])
    for _ in range(2 if quick else 40):
        at = active(pair, 10, 20_000 if quick else 200_000, random)
        found.append(at[0] if everywhere else at.all(axis=0))
    return share_of(np.concatenate(found))


@claim(
    FIELD,
    "A location that looks at 10 selected coordinates is active at 1 of 1,024 addresses",
    JAECKEL,
    "2^{−k}, k = 10; share of 8 million locations, n = 1000",
    1 / 1024,
    3e-5,
    note="The tolerance is that of 8 million locations.",
)
def selected_coordinates(quick):
    return _both(0, quick, everywhere=True)


@claim(
    FIELD,
    "Two addresses 100 bits apart share more locations by selected coordinates than by circles",
    JAECKEL,
    "2^{−k} C(n − h, k)/C(n, k); share of 8 million locations, n = 1000, k = 10",
    common(1000, 10, 100),
    3e-5,
    nature="own check",
    note="The tolerance is that of 8 million locations.",
)
def selected_in_common(quick):
    circles = f"circles of radius 451, which are as often active: {1e-6 * shared(100):.6f}"
    return _both(100, quick, everywhere=False)._replace(control=circles)
