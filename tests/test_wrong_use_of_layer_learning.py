"""Wrong use of energy transformers, of gradients at rest, and of learning by energy."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam import nn

KEY = jr.key(0)
MODERN = eam.ModernHopfield(np.eye(4), 1.0)
CHN = eam.CHN(np.ones((2, 4)))
PATCHES = np.ones((5, 4, 3))
ROWS = [
    (lambda: nn.as_patches(np.ones(8), 2), "pictures must be"),
    (lambda: nn.as_patches("a", 2), "pictures must be"),
    (lambda: nn.as_patches(np.ones((8, 8)), 3), "side must divide"),
    (lambda: nn.as_patches(np.ones((8, 8)), 0), "side must be"),
    (lambda: nn.as_patches(np.ones((8, 8)), 2.0), "side must be"),
    (lambda: nn.EnergyTransformer(0, 3, 8, key=KEY), "num_tokens must be"),
    (lambda: nn.EnergyTransformer(4, "a", 8, key=KEY), "patch_size must be"),
    (lambda: nn.EnergyTransformer(4, 3, 0, key=KEY), "size must be"),
    (lambda: nn.EnergyTransformer(4, 3, 8, num_heads=0, key=KEY), "num_heads must be"),
    (lambda: nn.EnergyTransformer(4, 3, 8, key=0), "key must be"),
    (lambda: nn.MaskedCompletion(3), "patches must be"),
    (lambda: nn.MaskedCompletion(PATCHES, 0), "batch_size must be"),
    (lambda: nn.MaskedCompletion(PATCHES, masked=2), "masked must"),
    (lambda: nn.MaskedCompletion(PATCHES, shown_as_hidden=-1), "shown_as_hidden must"),
    (lambda: nn.recall_at_rest(CHN, np.ones(4)), "update must be a differentiable rule"),
    (lambda: nn.recall_at_rest(MODERN, np.ones(5)), "query must be"),
    (lambda: nn.recall_at_rest(MODERN, np.ones(4), "sync"), "update must be"),
    (lambda: nn.recall_at_rest(MODERN, np.ones(4), max_steps=-1), "max_steps must be"),
    (lambda: nn.Nudged(MODERN, None), "target"),
    (lambda: nn.contrastive_hebbian(MODERN, np.ones((3, 4))), "inputs"),
    (lambda: nn.equilibrium_propagation(MODERN, np.ones((3, 4))), "targets"),
    (lambda: nn.predictive_coding(MODERN, np.ones((3, 4))), "clamp"),
]


@pytest.mark.parametrize(("call", "message"), ROWS, ids=range(len(ROWS)))
def test_the_argument_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_patches_are_cut_row_by_row():
    picture = jnp.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(nn.as_patches(picture, 2)[1], [2, 3, 6, 7])
