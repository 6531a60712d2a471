"""Associative retrieval: letter–digit pairs, then a letter; which digit went with it?"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from energyam import checks
from energyam.datasets.keys import key_by_name

TOKENS = "abcdefghijklmnopqrstuvwxyz?0123456789"
"""The characters of `associative_retrieval`, in the order of their one-hot entries."""
_LETTERS, _QUESTION, _DIGITS = 26, 26, 10


@key_by_name
def associative_retrieval(length: int, *, key: PRNGKeyArray) -> tuple[Float[Array, "T 37"], Int[Array, ""]]:
    """One sequence such as c9k8j3f1?k as one-hot inputs (length + 2, 37), and the token of its answer, 8.

    `length` counts letters and digits before the `?`: length / 2 letters drawn without replacement, each
    followed by any digit, then `?`, then one of the letters. The answer is an index of `TOKENS`, 27 … 36.
    Works under `jit`; `jax.vmap` over keys makes a batch on the device.

    Raises `ValueError` unless length is even, at least 2, and at most 52: there are 26 letters.

    Ba, Hinton, Mnih, Leibo & Ionescu, "Using fast weights to attend to the recent past", NeurIPS 2016, 4.1.

        >>> inputs, answer = eam.datasets.associative_retrieval(4, key=jr.key(0))
        >>> eam.datasets.retrieval_text(inputs), eam.datasets.TOKENS[answer]
        ('q2k2?k', '2')
    """
    if checks.count("length", length, least=2) % 2 or length > 2 * _LETTERS:
        raise ValueError(f"length must be even and at most {2 * _LETTERS}, two for each letter; got {length}")
    letter_key, digit_key, asked_key = jr.split(key, 3)
    letters = jr.permutation(letter_key, _LETTERS)[: length // 2]
    digits = _QUESTION + 1 + jr.randint(digit_key, letters.shape, 0, _DIGITS)
    asked = jr.randint(asked_key, (), 0, length // 2)
    pairs = jnp.stack([letters, digits], axis=1).ravel()
    tokens = jnp.concatenate([pairs, jnp.array([_QUESTION]), letters[asked][None]])
    return jax.nn.one_hot(tokens, len(TOKENS)), digits[asked]


def retrieval_text(inputs: ArrayLike) -> str:
    """The characters of one-hot or noisy inputs (T, 37), the largest entry of each row; else `ValueError`.

    >>> inputs, answer = eam.datasets.associative_retrieval(4, key=jr.key(0))
    >>> len(eam.datasets.retrieval_text(inputs)), eam.datasets.retrieval_text(inputs)[-2]
    (6, '?')
    """
    inputs = checks.as_floats("inputs", inputs, f"T {len(TOKENS)}")
    return "".join(TOKENS[token] for token in np.argmax(inputs, axis=1))
