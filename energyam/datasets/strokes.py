"""Stroke characters: a procedural stand-in for Omniglot, with any number of classes and drawers.

A class is 1 to 4 strokes of a pen, cubic Bézier curves, in turn 1, 2, 3, 4, 1, … of them. A drawer has a
style, an affine map of the page, and an unsteady hand: every control point of every picture is a little off.
"""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from energyam import checks
from energyam.datasets.keys import key_by_name

_STROKES = 4  # at most, in a class
_POINTS = 64  # on a stroke
_PAGE, _HALF, _PEN, _SHIFT = 28, 9.0, 0.6, 1.55  # in pixels, of pictures of 28 × 28
_BEND, _TURN = 0.9, 0.19  # how far strokes are from straight, and styles from the identity

Strokes = Float[Array, "4 4 2"]  # of strokes, control points, (x, y)


@key_by_name
def stroke_characters(
    num_classes: int, num_drawers: int, size: int = _PAGE, jitter: ArrayLike = 0.8, *, key: PRNGKeyArray
) -> Float[Array, "classes drawers size size"]:
    """Pictures (classes, drawers, size, size) of made-up characters, in 0 … 1: ink 1 on paper 0.

    With the same key, more classes or drawers don't change the first ones. At the default size and jitter the
    classes are about as hard to distinguish by their pixels as Omniglot's.

    **Arguments:** `size`: pixels of a side; `jitter`: standard deviation of every coordinate of a control
    point, in 28ths of a side.

    Raises `ValueError` for counts or a size below 1 and for a negative jitter.

    Omniglot's characters: Lake, Salakhutdinov & Tenenbaum, Science 350 (2015).

        >>> pictures = eam.datasets.stroke_characters(6, 4, key=jr.key(0))
        >>> pictures.shape, float(pictures.min()) >= 0, float(pictures.max()) <= 1
        ((6, 4, 28, 28), True, True)
    """
    C, P = checks.count("num_classes", num_classes), checks.count("num_drawers", num_drawers)
    jitter = checks.not_negative("jitter", jitter, "").astype(float)
    return _draw_all(C, P, checks.count("size", size), jitter, key)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _draw_all(C: int, P: int, size: int, jitter: Array, key: PRNGKeyArray) -> Float[Array, "C P size size"]:
    class_key, style_key, hand_key = jr.split(key, 3)
    used = jnp.arange(_STROKES)[None] <= jnp.arange(C)[:, None] % _STROKES
    strokes = jax.vmap(_new_strokes)(_keys(class_key, C), used)
    turns, shifts = jax.vmap(_new_style)(_keys(style_key, P))

    def draw(strokes, used, turn, shift, key):
        unsteady = strokes + jitter * jr.normal(key, strokes.shape)
        return _ink(unsteady @ turn + shift[None, None], used, size)

    def draw_class(of):
        strokes, used, key = of
        return jax.vmap(draw, in_axes=(None, None, 0, 0, 0))(strokes, used, turns, shifts, _keys(key, P))

    # Class by class: all at once would need some hundred kilobytes a picture.
    return jax.lax.map(draw_class, (strokes, used, _keys(hand_key, C)))


def _keys(key: PRNGKeyArray, number: int) -> Array:
    """A key for each of 0 … number − 1, the same whatever the number."""
    return jax.vmap(partial(jr.fold_in, key))(jnp.arange(number))


def _new_strokes(key: PRNGKeyArray, used: Bool[Array, " 4"]) -> Strokes:
    """The control points of a class; the strokes that are used fill the page."""
    drawn = jr.uniform(key, (_STROKES, 4, 2), minval=-1, maxval=1)
    along = jnp.linspace(0, 1, 4)[None, :, None]
    strokes = drawn[:, :1] * (1 - along) + drawn[:, -1:] * along
    strokes = strokes.at[:, 1:3].add(_BEND * drawn[:, 1:3])
    points, seen = _bezier(strokes), used[:, None, None]
    low = jnp.min(points, axis=(0, 1), where=seen, initial=jnp.inf)
    high = jnp.max(points, axis=(0, 1), where=seen, initial=-jnp.inf)
    return _HALF * (2 * strokes - (low + high)[None, None]) / jnp.max(high - low)


def _new_style(key: PRNGKeyArray) -> tuple[Float[Array, "2 2"], Float[Array, " 2"]]:
    numbers = jr.normal(key, (3, 2))
    return jnp.eye(2) + _TURN * numbers[:2], _SHIFT * numbers[2]


def _bezier(strokes: Strokes) -> Float[Array, "4 points 2"]:
    """Points in the middles of equal steps of the curves' parameter."""
    t = ((jnp.arange(_POINTS, dtype=float) + 0.5) / _POINTS)[:, None]
    basis = jnp.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    return jnp.einsum("tc,scx->stx", basis, strokes)


def _ink(strokes: Strokes, used: Bool[Array, " 4"], size: int) -> Float[Array, "size size"]:
    """∫ G ds along the strokes, at most 1: G a Gaussian pen that leaves ink 1 on a straight line.

    G is a product over x and y, so the sum over all points is one matrix product.
    """
    points = _bezier(strokes)
    lengths = used.astype(float)[:, None] * jnp.linalg.norm(jnp.gradient(points, axis=1), axis=-1)
    pixels = _PAGE / size * (jnp.arange(size, dtype=float) - (size - 1) / 2)
    marks = jnp.exp(-0.5 * ((points.reshape(-1, 2, 1) - pixels[None, None]) / _PEN) ** 2)
    ink = (lengths.reshape(-1, 1) * marks[:, 1]).T @ marks[:, 0]
    return jnp.minimum(ink / (jnp.sqrt(2 * jnp.pi) * _PEN), 1)
