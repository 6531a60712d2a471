"""Bars and stripes: the small data set whose distribution is known, for machines that learn one."""

import numpy as np
from jaxtyping import Int8

from energyam import checks


def bars_and_stripes(side: int) -> Int8[np.ndarray, "N side side"]:
    """All pictures ±1 of side × side pixels whose rows are alike, or whose columns are: N = 2^(side+1) − 2.

    A model that gives each of them the same probability and all others 0 has a mean log-likelihood of −log N,
    the largest that is possible. **Arguments:** `side`, from 2 to 12. Raises `ValueError` for others.

    MacKay, *Information Theory, Inference, and Learning Algorithms* (2003), section 43.3.

        >>> [picture.ravel().tolist() for picture in eam.datasets.bars_and_stripes(2)][:3]
        [[1, 1, 1, 1], [-1, -1, 1, 1], [1, 1, -1, -1]]
    """
    side = checks.count("side", side, least=2)
    if side > 12:
        raise ValueError(f"side must be at most 12, for 8,190 pictures; got {side}")
    bits = 1 - 2 * (np.arange(2**side)[:, None] >> np.arange(side) & 1).astype(np.int8)
    stripes = np.broadcast_to(bits[:, :, None], (2**side, side, side))
    return np.concatenate([stripes, stripes[1:-1].swapaxes(1, 2)])
