"""The best radius of a sparse distributed memory, by a criterion."""

import math
from typing import Literal

import numpy as np

from energyam import checks
from energyam.checks import Number, Whole
from energyam.hypercube import check_dimension, log_number, radius_for_log_fraction
from energyam.theory.one_read import critical_distance
from energyam.theory.sdm import Noise, log_capacity, log_capacity_fraction, quantile, signal_to_noise


def optimal_radius(
    n: Whole,
    num_patterns: Number,
    num_neurons: Number,
    criterion: Literal["snr", "capacity", "critical_distance"] = "snr",
    noise: Noise | None = None,
    probability: Number = 0.5,
) -> int:
    """The best radius by one of three criteria: signal to noise, capacity, or critical distance.

    * `"snr"`: the largest N(0)/σ(0). Published: p* = (2 m r)^{−1/3} for the fraction p of a circle.
    * `"capacity"`: the largest `sdm_capacity` (`num_patterns` does not matter). Published: p* is the root of
      2 r² p³ − 3 r z² p² − z² = 0.
    * `"critical_distance"`: the largest `critical_distance`, and the smallest of equally good radii.

    **Arguments:** `noise`: `None` for the published closed forms of `"snr"` and `"capacity"` and the
    `"corrected"` noise of `"critical_distance"`, or a noise of `signal_to_noise` to search all radii up to
    n/2 by the exact geometry; `probability`: of reading a whole pattern (`"capacity"`).

    Raises `ValueError` for another criterion or noise, or numbers out of range.

    Bricken & Pehlevan, NeurIPS 2021, appendix B: 11, 5, and with `noise="paper"` 15 by critical distance, at
    n = 64, 1,024 patterns, 2⁶⁴ neurons.

        >>> eam.theory.optimal_radius(1000, 10_000, 10**6)
        447
    """
    log_m, log_r = log_number("num_patterns", num_patterns), log_number("num_neurons", num_neurons)
    checks.one_of("criterion", criterion, ("snr", "capacity", "critical_distance"))
    z, radii = quantile(n, probability), range(check_dimension(n) // 2 + 1)
    merit: list[float]
    if criterion == "critical_distance":
        merit = [critical_distance(n, d, num_patterns, num_neurons, noise or "corrected") for d in radii]
    elif noise is None:
        log_p = -(math.log(2) + log_m + log_r) / 3 if criterion == "snr" else log_capacity_fraction(z, log_r)
        return radius_for_log_fraction(n, log_p)
    elif criterion == "snr":
        merit = [signal_to_noise(n, d, num_patterns, num_neurons, noise)[0] for d in radii]
    else:
        merit = [log_capacity(n, d, num_neurons, probability, noise) for d in radii]
    return int(np.argmax(merit))
