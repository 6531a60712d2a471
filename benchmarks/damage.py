"""What happens to pictures (28, 28), ink 1 on paper 0, before they are asked about."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float

import energyam as eam


def flipped(key, picture):
    """A picture with a quarter of its pixels turned from ink to paper or back."""
    return jnp.where(jr.bernoulli(key, 0.25, picture.shape), 1 - picture, picture)


def masked(key, picture):
    """A picture of which the top, bottom, left or right half is paper."""
    H, W = picture.shape
    rows, columns = jnp.broadcast_to(jnp.arange(H)[:, None], (H, W)), jnp.broadcast_to(jnp.arange(W), (H, W))
    halves = jnp.stack([rows < H // 2, rows >= H // 2, columns < W // 2, columns >= W // 2])
    return jnp.where(halves[jr.randint(key, (), 0, 4)], 0, picture)


def damaged(key, picture):
    """A picture as it is, flipped or half masked, each as likely."""
    which, how = jr.split(key)
    ways = jnp.stack([picture, flipped(how, picture), masked(how, picture)])
    return ways[jr.randint(which, (), 0, 3)]


def distorted(key, picture):
    """A picture turned, sheared, scaled and shifted a little, as if drawn by another hand."""
    turn, scale, shear, shift = jr.split(key, 4)
    angle = jr.uniform(turn, minval=-0.2, maxval=0.2)
    sizes = jr.uniform(scale, (2,), minval=0.85, maxval=1.15)
    slant = jr.uniform(shear, minval=-0.2, maxval=0.2)
    turned = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    matrix = turned @ jnp.array([[1, slant], [0, 1]]) / sizes[:, None]
    middle = (jnp.array(picture.shape) - 1) / 2
    places = jnp.stack(jnp.meshgrid(*map(jnp.arange, picture.shape), indexing="ij")) - middle[:, None, None]
    moved = jr.uniform(shift, (2,), minval=-2, maxval=2) + middle
    places = jnp.einsum("ij,jhw->ihw", matrix, places) + moved[:, None, None]
    return jax.scipy.ndimage.map_coordinates(picture, list(places), order=1)


class Restored(eqx.Module):
    """A flipped picture that settles, window by window, in a dense memory of windows of training pictures.

    In ±1, with β = artanh(1 − 2 · ¼), one softmax read is the posterior mean of a window given its flipped
    pixels, if the windows of the memory are all there are; overlapping windows are averaged.
    """

    windows: Float[Array, "K 49"]

    def __init__(self, images, count, *, key):
        pictures = jr.randint(key, (count,), 0, images.shape[0] * images.shape[1])
        rows, columns = jr.randint(key, (2, count), 0, images.shape[-1] - 6)
        flat = images.reshape(-1, *images.shape[2:])
        cut = lambda n, i, j: lax.dynamic_slice(flat[n], (i, j), (7, 7)).ravel()  # noqa: E731
        self.windows = 2 * jax.vmap(cut)(pictures, rows, columns).astype(float) - 1

    def __call__(self, key, picture):
        noisy = 2 * flipped(key, picture) - 1
        windows, put_back = jax.vjp(_windows, noisy)
        memory = eam.KeyValueMemory(self.windows, self.windows, eam.LogSumExp(jnp.arctanh(0.5)))
        covered = put_back(jnp.ones_like(windows))[0]
        return (put_back(jax.vmap(memory)(windows))[0] / covered + 1) / 2


def _windows(picture):
    """All 7 × 7 windows of a picture (28, 28), as (484, 49)."""
    side = picture.shape[0] - 6
    shifted = [lax.dynamic_slice(picture, (i, j), (side, side)) for i in range(7) for j in range(7)]
    return jnp.stack(shifted, axis=-1).reshape(side * side, 49)
