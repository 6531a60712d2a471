"""The β that translation models have learned with queries and keys of length 1.

With query-key normalisation a head's logits are β times a cosine and β is learnt, so that these numbers can
be compared with the β of sparse distributed memory.
"""

import numpy as np

from energyam import checks

TASKS = ("unnamed", "ar-en", "en-he", "gl-en", "sk-en")
ATTENTIONS = ("encoder", "decoder", "cross")

_BETAS = {
    ("unnamed", "encoder"): (13.2098, 17.7457, 14.2207, 12.7949, 14.5659, 14.7724),
    ("unnamed", "decoder"): (17.5814, 12.2229, 12.5165, 13.6765, 14.7659, 13.6766),
    ("unnamed", "cross"): (16.5105, 18.1264, 17.5156, 17.3248, 16.7748, 15.7745),
    ("ar-en", "encoder"): (23.8495, 23.5828, 16.5298, 15.2339, 15.2119, 14.7259),
    ("ar-en", "decoder"): (21.8811, 15.0111, 15.8560, 18.1047, 17.8177, 16.9426),
    ("ar-en", "cross"): (16.8625, 18.6636, 20.1512, 18.6036, 17.8923, 17.3006),
    ("en-he", "encoder"): (17.5440, 24.8478, 19.9285, 17.8327, 14.8650, 15.7336, 15.9985, 16.3520),
    ("en-he", "decoder"): (21.0183, 13.4864, 14.6378, 16.3881, 18.6723, 16.9726, 17.7232, 15.8936),
    ("en-he", "cross"): (17.7330, 19.6508, 20.6294, 19.9095, 19.2014, 18.6446, 17.4765, 16.8745),
    ("gl-en", "encoder"): (10.7504, 11.5805, 12.3425, 12.6488),
    ("gl-en", "decoder"): (11.7709, 11.6113, 11.8719, 12.0366),
    ("gl-en", "cross"): (12.7980, 13.1750, 13.3501, 13.4014),
    ("sk-en", "encoder"): (10.3109, 14.4443, 13.7934, 12.8048, 10.8790, 13.2211),
    ("sk-en", "decoder"): (12.1344, 10.8995, 11.7884, 12.6769, 12.9696, 12.4675),
    ("sk-en", "cross"): (14.3417, 14.6746, 14.4706, 14.5393, 14.4444, 14.0697),
}


def query_key_norm_betas(task: str | None = None, attention: str | None = None) -> np.ndarray:
    """The 90 learnt β, layer by layer: all, or those of one task or one kind of attention.

    **Arguments:** `task`: one of `TASKS` (the first is not named in the source); `attention`: `"encoder"`,
    `"decoder"` or `"cross"`. **Returns** float64, one β for each layer. Raises `ValueError` for other names.

    Henry, Dachapally, Pawar & Chen, "Query-key normalization for transformers", EMNLP Findings 2020; the
    values were published with Bricken & Pehlevan, NeurIPS 2021.

        >>> len(eam.theory.query_key_norm_betas()), len(eam.theory.query_key_norm_betas(attention="cross"))
        (90, 30)
    """
    for name, value, choices in (("task", task, TASKS), ("attention", attention, ATTENTIONS)):
        if value is not None:
            checks.one_of(name, value, choices)
    layers = [betas for (t, a), betas in _BETAS.items() if task in (None, t) and attention in (None, a)]
    return np.concatenate(layers)
