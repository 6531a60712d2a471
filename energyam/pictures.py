"""The work of `energyam recall`: store the user's pictures, damage one, recall it, describe the answer."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Num, PRNGKeyArray

import energyam as eam
from energyam.datasets.noise import Side
from energyam.files import replacing

_STEP = 0.2  # of a grey recall: small enough for a film
_GREY_STEPS = 150
_NEIGHBOURS = 1000  # pictures whose distances from one another are looked at


class Stored(NamedTuple):
    """The stored pictures (K, D), their file names, and their shape (H, W)."""

    patterns: Num[np.ndarray, "K D"]
    names: list[str]
    shape: tuple[int, int]


def stored_pictures(folder: Path, shape: tuple[int, int], binary: bool) -> Stored:
    """The pictures of a folder, ±1 or grey; raises `ValueError` as `load_images` does."""
    pictures, names = eam.datasets.load_images(folder, shape, binary=binary)
    rows = [picture.reshape(-1) if binary else evened(picture).reshape(-1) for picture in pictures]
    return Stored(np.stack(rows), names, shape)


def evened(picture: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """A grey picture scaled to mean 0 and variance 1, so that none wins by its contrast."""
    return ((picture - picture.mean()) / picture.std()).astype(np.float32)


def grey_memory(patterns: Float[np.ndarray, "K D"], beta: int | float | None) -> eam.GaussianDenseAM:
    """A memory of grey pictures by their distances.

    By default β = 8 ln(100 K) / r², r² the distance squared within which a tenth of the pictures have a
    neighbour: at an eighth of the way to it, a picture still weighs a hundred times as much as all others.
    """
    if beta is None:
        X = patterns[:_NEIGHBOURS].astype(np.float64)
        apart = np.maximum(2 * X.shape[1] - 2 * X @ X.T, 0) + np.diag(np.full(len(X), np.inf))
        near = apart.min(axis=1)
        near = near[(near > 1e-6 * X.shape[1]) & np.isfinite(near)]  # equal pictures count as one
        beta = 8 * math.log(100 * len(patterns)) / (np.quantile(near, 0.1) if near.size else X.shape[1])
    return eam.GaussianDenseAM(patterns, beta)


def damaged(
    picture: Num[Array, "H W"], noise: int | float, mask: Side | None, binary: bool, *, key: PRNGKeyArray
) -> tuple[Num[Array, " D"], Bool[Array, " D"]]:
    """The picture (D,), a share of its pixels spoiled and one half lost; what is left is known, unless noisy.

    Of ±1 pictures bits are flipped or drawn anew; of grey ones pixels take the greys of others that are left.
    """
    flipping, masking = jr.split(key)
    known = jnp.ones(picture.shape, bool)
    if mask is not None:
        torn, known = eam.datasets.mask_half(jnp.where(picture > 0, 1, -1), mask, key=masking)
    if binary:
        noisy = eam.datasets.flip_bits(picture.reshape(-1), noise, key=flipping).reshape(picture.shape)
        state = noisy if mask is None else jnp.where(known, noisy, torn)
    else:
        others = jr.choice(masking, picture[known], picture.shape)
        state = jnp.where(known & (jr.uniform(flipping, picture.shape) >= noise), picture, others)
    return state.reshape(-1), known.reshape(-1) & (noise == 0 and mask is not None)


def recalled(
    memory: Any, state: Num[Array, " D"], known: Bool[Array, " D"], steps: int, *, key: PRNGKeyArray
) -> eam.Recall:
    """The recall of one picture: by flips, or of a grey one by small steps down the gradient."""
    if isinstance(memory, eam.GaussianDenseAM):
        return eam.recall(memory, state, eam.GradientDescent(_STEP, tol=2e-3), _GREY_STEPS, clamp=known)
    return eam.recall(memory, state, key=key, clamp=known, max_steps=steps)


def correlations(patterns: ArrayLike, state: ArrayLike) -> Float[np.ndarray, " K"]:
    """The correlation of a picture's pixels with those of each stored picture, from −1 to 1."""
    X, x = np.asarray(patterns, np.float64), np.asarray(state, np.float64)
    X, x = X - X.mean(axis=1, keepdims=True), x - x.mean()
    sizes = np.linalg.norm(X, axis=1) * np.linalg.norm(x)
    return X @ x / np.where(sizes > 0, sizes, 1)


def described(memory: Any, stored: Stored, result: eam.Recall) -> list[str]:
    """The pictures nearest to the query and to the answer, and the kind of answer, as text."""
    before, after = (correlations(stored.patterns, state) for state in (result.query, result.state))
    lines = [f"the query is most like {_nearest(before, stored.names)} (correlations)"]
    usual = _usual(stored.patterns)
    if np.abs(before).max() <= usual:
        lines.append(f"it resembles nothing that is stored: pictures here are as alike as {usual:.2f} anyway")
    lines.append(f"the answer is most like {_nearest(after, stored.names)}")
    found = eam.evaluation.retrieved(memory, result.state)
    kind, name = eam.evaluation.KINDS[int(found.kind)], stored.names[int(found.index)]
    best = stored.names[int(after.argmax())]
    exactly = _how_exactly(stored.patterns[int(after.argmax())], np.asarray(result.state))
    endings = {
        "pattern": f"recalled {best}{exactly}",
        "inverse": f"recalled the inverse of {name}: black for white",
        "mixture": f"a mixture of pictures, to which {name} adds most ({float(found.weight):.0%})",
        "spurious": "a spurious answer: no stored picture, and no mixture of them",
    }
    settled = "" if result.converged else ", and not settled yet"
    return [*lines, endings[kind], f"steps: {int(result.num_steps)}{settled}"]


def draw(result: eam.Recall, memory: str, stored: Stored, out: Path) -> None:
    """Query, answer by the memory of that name, and the nearest stored picture, as a figure or a film."""
    at = int(correlations(stored.patterns, result.state).argmax())
    match, suffix = stored.patterns[at], out.suffix.lower()
    if suffix == ".png":
        figure = eam.plotting.show_recall(result, stored.shape, original=match)
        figure.axes[1].set_title(f"recalled by {memory}", fontsize=10)
        figure.axes[2].set_title(stored.names[at][:24], fontsize=10)
        with replacing(out, "--out") as file:
            figure.savefig(file, format="png")
        return
    labels = [f"recalled by\n{memory}", f"stored\n{stored.names[at][:24]}"]
    animation = eam.plotting.animate(result, stored.shape, beside=match, columns=2, labels=labels)
    with replacing(out, "--out") as file:
        file.write(animation.gif() if suffix == ".gif" else animation.video(suffix))


def _nearest(alike, names, most=3):
    order = np.argsort(-alike, kind="stable")[:most]
    return ", ".join(f"{names[i]} {alike[i]:.2f}" for i in order)


def _usual(patterns):
    """The correlation that half of the pairs of stored pictures have, or that chance gives one of K."""
    X = patterns[:_NEIGHBOURS]
    pairs = [np.abs(np.delete(correlations(X, x), i)) for i, x in enumerate(X[:100])]
    chance = math.sqrt(2 * math.log(2 * len(patterns)) / X.shape[1])
    return max(chance, float(np.median(np.concatenate(pairs))) if len(X) > 1 else 0.0)


def _how_exactly(pattern, state):
    if np.issubdtype(pattern.dtype, np.integer):
        right = int((pattern == state).sum())
        return f": {right:,} of its {state.size:,} bits{', all' if right == state.size else ''}"
    return f", but for {np.abs(pattern - state).mean() / np.ptp(pattern):.2%} of its range of greys"
