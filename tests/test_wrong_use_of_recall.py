"""Wrong use of memories and recall: each a ValueError that names the argument."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam
from energyam import checks
from energyam.datasets.images import picture_shape

X = np.array(patterns(0, 3, 8))
BINARY = [eam.CHN, lambda X: eam.PolynomialDenseAM(X, 3), lambda X: eam.ExponentialDenseAM(X, 1.0)]


@pytest.mark.parametrize("make", BINARY)
@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (np.ones((48, 48, 3)), r"patterns must be \(K, D\); got shape \(48, 48, 3\)"),
        (np.ones(8), r"patterns must be \(K, D\); got shape \(8,\)"),
        (np.zeros((0, 8)), "patterns must not be empty"),
        (np.ones((3, 0)), "patterns must not be empty"),
        (np.eye(3), "entries ±1; got entries 0, 1"),
        (np.full((2, 2), np.nan), "entries ±1; got entries nan"),
        (np.ones((2, 2), bool), "entries ±1; got dtype bool"),
    ],
)
def test_patterns_of_binary_memories(make, patterns, message):
    with pytest.raises(ValueError, match=message):
        make(patterns)


WRONG = [  # data, and what the message advises for it
    (np.array([[0, 1, 1]], np.uint8), '2 * x.astype("int8") - 1'),
    (np.array([[0, 1, 1]], np.uint32), '2 * x.astype("int8") - 1'),
    (np.array([[0, 1, 1]]), "2 * x - 1"),
    (np.array([[0.0, 1.0, 1.0]]), "2 * x - 1"),
    (np.array([[False, True, True]]), "2 * x.astype(int) - 1"),
    (np.array([[0, 255, 255]], np.uint8), "np.where(x > 127, 1, -1)"),
    (np.array([[3, 200, 255]]), "np.where(x > 127, 1, -1)"),
    (np.array([[0.0, 0.7, 1.0]]), "np.where(x > 0.5, 1, -1)"),
    (np.array([[0, 3, 4]]), "np.where(x > 2, 1, -1)"),
    (np.array([[-0.3, 2.0, 0.1]]), "np.where(x > 0, 1, -1)"),
    (2 * np.array([[0, 1, 1]], np.uint8) - 1, 'x.astype("int8")'),  # 1 and 255: −1 has wrapped
]


@pytest.mark.parametrize(("x", "advice"), WRONG)
def test_the_advice_makes_plus_and_minus_one_of_any_dtype(x, advice):
    for array in (x, jnp.asarray(x)):
        with pytest.raises(ValueError, match="entries ±1; got .*" + re.escape(f"becomes ±1 by {advice})")):
            eam.CHN(array)
    assert eval(advice, {"np": np, "x": x}).tolist() == [[-1, 1, 1]]


@pytest.mark.parametrize("check", [checks.as_array, checks.as_floats, checks.as_binary])
def test_arrays_are_real_numbers_of_32_bits(check):
    with pytest.raises(ValueError, match="x must be real; got dtype complex64"):
        check("x", np.ones(3, np.complex64), "D")
    with pytest.raises(ValueError, match=r"x must be a numeric array .*; got dtype key"):
        check("x", jr.split(jr.key(0), 3), "D")
    with pytest.raises(ValueError, match="x must be"):  # no float holds it
        check("x", 10**400, "")
    if check is not checks.as_binary:  # and this is 2^40 as a float, rather than a number that has wrapped
        assert check("x", 2**40, "") == 2.0**40


def test_other_checks_refuse_complex_numbers():
    with pytest.raises(ValueError, match="x must be real"):
        checks.as_vector("x", np.ones(3) + 0j, 3)
    with pytest.raises(ValueError, match="x must be real"):
        checks.as_square("x", np.eye(3) + 0j)
    with pytest.raises(ValueError, match="keys must be real"):
        checks.as_pairs(np.eye(3) + 0j, np.eye(3))
    for check in (checks.positive, checks.not_negative, checks.fraction):
        with pytest.raises(ValueError, match=r"x must be a number that a float can hold; got \(?1\+0j"):
            check("x", 1 + 0j)


def test_huge_numbers_are_told_in_a_line():
    for huge in (2**40, 10**400, 10**5000, np.int64(2**40)):
        with pytest.raises(ValueError, match=r"K must be at most 2,147,483,647; got [^\n]{5,40}$"):
            checks.count("K", huge)
        assert checks.count("K", huge, most=None) == huge
    with pytest.raises(ValueError, match="K must be an integer of at least 1; got -"):
        checks.count("K", -(2**40))
    for check in (checks.positive, checks.not_negative, checks.fraction):
        with pytest.raises(ValueError, match="beta must be a number that a float can hold; got an int"):
            check("beta", 10**400)
    with pytest.raises(ValueError, match="beta must be positive and finite; got inf"):
        checks.positive("beta", float("inf"))
    with pytest.raises(ValueError, match=r"shape must be .*; got an integer of 1329 bits"):
        picture_shape(10**400)


def test_patterns_of_continuous_memories():
    with pytest.raises(ValueError, match="patterns must be finite"):
        eam.ModernHopfield(np.array([[1.0, np.nan]]), 1.0)
    with pytest.raises(ValueError, match="patterns must not be empty"):
        eam.ModernHopfield(np.zeros((0, 3)), 1.0)
    with pytest.raises(ValueError, match="patterns must be unit vectors; got norms from 2"):
        eam.DenseAM(np.full((2, 4), 1.0), eam.LogSumExp(1.0), eam.Spherical())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 3)), "weights must be square"),
        (np.array([[0.0, 1.0], [-1.0, 0.0]]), "weights must be symmetric"),
        (np.full((2, 2), np.inf), "weights must be finite"),
        (np.ones(4), r"weights must be \(D, D\)"),
    ],
)
def test_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        eam.HopfieldNetwork(weights)


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        (X[0, :5], {}, r"query must be \(\.\.\., 8\).*got shape \(5,\)"),
        (np.float32(1.0), {}, r"query must be \(\.\.\., D\)"),
        (X[0] * 0, {}, "query must have known entries; got one whose entries are all unknown"),
        (np.full(8, np.nan), {}, "query must be .* got entries nan"),
        (X[0], {"max_steps": -1}, "max_steps must be an integer of at least 0; got -1"),
        (X[0], {"key": None}, "key must be given, as the order is 'colours'"),
        (X[0], {"update": eam.Asynchronous("uniform"), "key": None}, "key must be given"),
        (X[0], {"update": eam.GradientDescent(0.1)}, "GradientDescent needs continuous neurons"),
        (X[0], {"clamp": np.ones(5, bool)}, r"clamp must be \(8,\) bool; got shape \(5,\)"),
        (X[0], {"clamp": np.ones(8)}, "clamp must be .* bool; .*dtype float64"),
    ],
)
def test_recall(query, options, message):
    with pytest.raises(ValueError, match=message):
        eam.recall(eam.CHN(X), query, **{"key": jr.key(0)} | options)


def test_rules_that_do_not_suit():
    modern = eam.ModernHopfield(X, 1.0)
    with pytest.raises(ValueError, match=r"±1 neurons for Asynchronous.* those of ModernHopfield"):
        eam.recall(modern, X[0], eam.Asynchronous(), key=jr.key(0))
    with pytest.raises(ValueError, match=r"those of ModernHopfield are Continuous \(for real.*jax\.grad"):
        eam.is_local_minimum(modern, X[0])
    with pytest.raises(ValueError, match="query must be finite"):
        eam.recall(modern, np.full(8, np.nan))
    with pytest.raises(ValueError, match="must have an energy"):
        eam.recall(object(), X[0])
    with pytest.raises(ValueError, match="order must be 'colours', 'permutation'"):
        eam.Asynchronous("random")
    for step_size in (0, -1, np.inf):
        with pytest.raises(ValueError, match="step_size must be positive"):
            eam.GradientDescent(step_size)
    with pytest.raises(ValueError, match="tol must be finite and not negative"):
        eam.Synchronous(tol=-1.0)


class Energy(eqx.Module):
    """Nothing but an energy."""

    def energy(self, x):
        return jnp.sum(x)


def test_an_energy_alone():
    with pytest.raises(
        ValueError, match="Synchronous needs a memory with a field; Energy has only an energy"
    ):
        eam.recall(Energy(), np.ones(3), eam.Synchronous())
    with pytest.raises(ValueError, match="entries ±1"):
        eam.recall(Energy(), np.full(3, 0.5), key=jr.key(0))


def test_energies_are_of_one_state():
    with pytest.raises(ValueError, match=r"state must be \(8,\)"):
        eam.CHN(X).energy(jnp.ones(7))


def test_checks_inside_jit():
    def energy(x):  # values that are known are checked there as well
        with pytest.raises(ValueError, match="entries ±1; got entries 0"):
            eam.CHN(np.zeros((2, 8)))
        with pytest.raises(ValueError, match="n must be at least 1"):
            eam.PolynomialDenseAM(X, 0.5)
        return eam.PolynomialDenseAM(X, 3).energy(x) + eam.ExponentialDenseAM(X, 2.0).energy(x)

    np.testing.assert_allclose(jax.jit(energy)(X[0]), energy(X[0]), rtol=1e-5)
    with pytest.raises(ValueError, match=r"patterns must be \(K, D\)"):
        jax.jit(lambda X: eam.CHN(X).energy(jnp.ones(8)))(jnp.ones(8))
    with pytest.raises(ValueError, match="every must be an integer of at least 1"):
        eam.recall(eam.CHN(X), X[0], key=jr.key(0)).frames(every=0)
