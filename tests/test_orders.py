"""Orders of a step: permutations, each as likely as any other."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from energyam.dynamics.update import Tick


def shuffled(num, *, key):
    return Tick(jnp.zeros((), int), key, None).order("permutation", num)


@pytest.mark.parametrize("num", [1, 2, 3, 2304, 70_000, 2**20 + 1])
def test_an_order_holds_every_place_once(num):
    order = shuffled(num, key=jr.key(num))
    assert order.dtype == jnp.arange(1).dtype
    np.testing.assert_array_equal(np.sort(order), np.arange(num))


@pytest.mark.parametrize("num", [2, 37, 2304])
def test_an_order_comes_from_the_random_words_of_jax(num):
    words = np.asarray(jr.bits(jr.key(1), (2, num), "uint32")) >> (num - 1).bit_length()
    first, second = words.argsort(axis=1, kind="stable")
    np.testing.assert_array_equal(shuffled(num, key=jr.key(1)), first[second])


def chi_squared(orders):
    """Of the counts of all orders, in units of its standard deviation from its mean."""
    places = orders @ orders.shape[1] ** np.arange(orders.shape[1])
    expected = len(orders) / math.factorial(orders.shape[1])
    counts = np.unique(places, return_counts=True)[1]
    freedom = math.factorial(orders.shape[1]) - 1
    assert counts.size <= freedom + 1
    missing = freedom + 1 - counts.size
    statistic = (((counts - expected) ** 2).sum() + missing * expected**2) / expected
    return (statistic - freedom) / math.sqrt(2 * freedom)


def test_all_orders_are_equally_likely():
    keys = jr.split(jr.key(0), 60_000)
    orders = np.asarray(jax.jit(jax.vmap(lambda key: shuffled(4, key=key)))(keys))
    assert abs(chi_squared(orders)) < 4
    slightly_wrong = np.where(
        (orders[:, :1] > orders[:, 1:2]) & (np.arange(60_000) % 20 == 0)[:, None], 3 - orders, orders
    )
    assert chi_squared(slightly_wrong) > 4
