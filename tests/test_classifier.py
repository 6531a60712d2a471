"""Krotov & Hopfield's classifier: pixels and labels are neurons of one memory, and labels answer by energy.

Krotov & Hopfield, "Dense associative memory for pattern recognition", NeurIPS 2016.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array
from sklearn.datasets import load_digits

import energyam as eam

PIXELS, CLASSES = 64, 10
DOWN = -np.ones(CLASSES, np.float32)


class Classifier(eqx.Module):
    """A dense memory of real patterns over real pixels and ±1 labels."""

    memory: eam.DenseAM
    neurons = {"labels": eam.Binary(), "pixels": eam.Free()}  # noqa: RUF012
    state_shape = {"labels": (CLASSES,), "pixels": (PIXELS,)}  # noqa: RUF012

    def energy(self, state):
        return self.memory.energy(jnp.concatenate([state["pixels"], state["labels"]]))

    def logits(self, pixels):
        """How much the energy falls where one label, of all that are down, flips up: (10,)."""
        up = 2 * jnp.eye(CLASSES) - 1
        down = self.energy({"labels": jnp.asarray(DOWN), "pixels": pixels})
        return down - jax.vmap(lambda labels: self.energy({"labels": labels, "pixels": pixels}))(up)


def digits():
    """scikit-learn's digits, pixels in −1..1 and classes, to train with and to test with."""
    images, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    pixels, classes = (images[order] / 8 - 1).astype(np.float32), classes[order]
    return (pixels[:1300], classes[:1300]), (pixels[1300:], classes[1300:])


def trained(pixels: Array, classes: Array, key: Array, num_patterns=100, num_steps=600, batch=100):
    """A classifier whose patterns make the right label flip up from all down, and no other."""
    key, subkey = jr.split(key)
    patterns = 0.1 * jr.normal(subkey, (num_patterns, PIXELS + CLASSES))
    model = Classifier(eam.DenseAM(patterns, eam.Polynomial(3), eam.Binary()))
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, num_steps))

    def loss(patterns, chosen):
        changed = eqx.tree_at(lambda m: m.memory.patterns, model, patterns)
        logits = jax.vmap(changed.logits)(pixels[chosen])
        return optax.sigmoid_binary_cross_entropy(logits, jax.nn.one_hot(classes[chosen], CLASSES)).mean()

    def step(at, chosen):
        patterns, moments = at
        change, moments = optimiser.update(jax.grad(loss)(patterns, chosen), moments)
        return (optax.apply_updates(patterns, change), moments), None

    chosen = jr.randint(key, (num_steps, batch), 0, len(pixels))
    (patterns, _), _ = jax.jit(lambda at: jax.lax.scan(step, at, chosen))(
        (patterns, optimiser.init(patterns))
    )
    return eqx.tree_at(lambda m: m.memory.patterns, model, patterns)


def test_real_patterns_learn_to_classify_digits_by_energy(getkey):
    train, (pixels, classes) = digits()
    model = trained(*map(jnp.asarray, train), getkey())
    assert jnp.issubdtype(model.memory.patterns.dtype, jnp.floating)

    answers = np.asarray(jax.vmap(model.logits)(jnp.asarray(pixels)).argmax(axis=1))
    assert (answers == classes).mean() >= 0.95

    # The same by recall: from all labels down those flip that lower the energy, while the pixels stay.
    states = {"labels": np.tile(DOWN, (len(pixels), 1)), "pixels": pixels}
    clamp = {"labels": False, "pixels": True}
    result = eam.recall(model, states, eam.Asynchronous(), clamp=clamp, key=getkey())
    assert result.converged.all() and eam.is_local_minimum(model, result.state).all()
    np.testing.assert_array_equal(result.state["pixels"], pixels)
    assert (np.diff(result.energies, axis=1) <= 0).all()
    right = (result.state["labels"] == 2 * np.eye(CLASSES)[classes] - 1).all(axis=1)
    assert right.mean() >= 0.95
