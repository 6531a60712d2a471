"""Published models that have fields and no energy, against plain numpy written independently."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import published_memories as ours
import published_models as plain
import pytest

import energyam as eam


def signs(seed, *shape):
    return np.random.default_rng(seed).choice((-1.0, 1.0), shape)


def real(array):
    return jnp.asarray(array, float)


def kernel_memory(X, width=8.0):
    """The memory, and its field in plain numpy."""
    kernel = lambda one, other: np.exp(-np.sum((one - other) ** 2) / (2 * width))  # noqa: E731
    dual = plain.kernel_dual(X, kernel)
    field = lambda x: sum(kernel(x, pattern) * row for pattern, row in zip(X, dual, strict=True))  # noqa: E731
    return ours.KernelMemory(real(X), real(dual), width), field


def asymmetric(N=12):
    weights = np.random.default_rng(1).normal(size=(N, N))
    np.fill_diagonal(weights, 0)
    return ours.Asymmetric(real(weights)), lambda x: weights @ x


def test_an_asymmetric_network_goes_one_after_another():
    memory, field = asymmetric()
    starts = signs(2, 20, 12)
    result = eam.recall(memory, real(starts), eam.Asynchronous(order="sequential"), max_steps=40)
    expected = [plain.one_after_another(field, x, most_sweeps=40) for x in starts]
    np.testing.assert_array_equal(result.state, [x for x, _ in expected])
    np.testing.assert_array_equal(result.converged, [ended for _, ended in expected])
    assert result.energies is None


def test_an_asymmetric_network_goes_all_at_once():
    memory, field = asymmetric()
    starts = x = signs(3, 6, 12)
    for _ in range(7):
        x = np.array([np.sign(field(one)) for one in x])
    result = eam.recall(memory, real(starts), eam.Synchronous(), max_steps=7)
    np.testing.assert_array_equal(result.state, x)
    assert result.energies is None


def test_a_kernel_memory_holds_its_patterns_and_completes_them():
    X = signs(4, 20, 16)
    memory, field = kernel_memory(X)
    queries = X.copy()
    queries[:, 3] *= -1
    for update in (eam.Asynchronous(order="sequential"), eam.Synchronous()):
        held = eam.recall(memory, real(X), update, max_steps=20)
        assert held.converged.all() and held.energies is None
        np.testing.assert_array_equal(held.state, X)
    result = eam.recall(memory, real(queries), eam.Asynchronous(order="sequential"), max_steps=40)
    expected = [plain.one_after_another(field, x, most_sweeps=40)[0] for x in queries]
    np.testing.assert_array_equal(result.state, expected)
    assert (np.asarray(result.state) == X).all(axis=1).mean() > 0.8


@pytest.mark.parametrize("all_at_once", [True, False])
def test_a_resonator_finds_factors(all_at_once):
    D, chosen = 400, (3, 5, 0)
    books = dict(zip("abc", signs(5, 3, 8, D), strict=True))
    product = np.prod([books[name][i] for name, i in zip("abc", chosen, strict=True)], axis=0)
    start = {name: np.where(book.sum(0) >= 0, 1.0, -1.0) for name, book in books.items()}
    memory = ours.Resonator(real(product), {name: real(book) for name, book in books.items()})
    update = eam.Synchronous() if all_at_once else eam.Blockwise()
    for steps in (1, 3, 40):
        result = eam.recall(memory, {name: real(s) for name, s in start.items()}, update, max_steps=steps)
        books_and_start = list(books.values()), list(start.values())
        expected = plain.resonate(product, *books_and_start, all_at_once, steps)
        np.testing.assert_array_equal([result.state[name] for name in "abc"], expected)
    assert result.converged and result.energies is None
    overlaps = [books[name] @ np.asarray(result.state[name]) for name in "abc"]
    np.testing.assert_array_equal(np.abs(overlaps).argmax(axis=1), chosen)


CLIQUE = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)]
CYCLE = [(0, 1), (1, 2), (2, 0)]


def threshold_linear(edges, N):
    weights = plain.inhibition(N, edges)
    return ours.ThresholdLinear(real(weights), jnp.ones(N)), weights


@pytest.mark.parametrize(("edges", "N"), [(CLIQUE, 5), (CYCLE, 3)], ids=["clique", "cycle"])
def test_a_threshold_linear_network_follows_its_equation(edges, N):
    memory, weights = threshold_linear(edges, N)
    starts = np.random.default_rng(6).uniform(0, 0.5, (4, N))
    for steps in (1, 10, 60):
        result = eam.recall(memory, real(starts), eam.Relaxation(0.1, leak="output"), max_steps=steps)
        expected = [plain.integrate(weights, np.ones(N), s, 0.1, steps) for s in starts]
        np.testing.assert_allclose(result.state, expected, atol=1e-4)
        assert result.energies is None


def test_a_clique_is_stable_and_a_cycle_goes_round():
    """The clique's neurons share 1/(1 + ½ + ½ · ½) and silence the others; a cycle never comes to an end."""
    memory, weights = threshold_linear(CLIQUE, 5)
    start = real([0.3, 0.2, 0.25, 0.1, 0.0])
    update = eam.Relaxation(0.1, leak="output", tol=1e-5)
    result = eam.recall(memory, start, update, max_steps=2000)
    alone = np.linalg.solve(np.eye(3) - weights[:3, :3], np.ones(3))
    assert result.converged
    np.testing.assert_allclose(result.state, [*alone, 0, 0], atol=1e-3)
    cycle, _ = threshold_linear(CYCLE, 3)
    assert not eam.recall(cycle, real([0.3, 0.2, 0.1]), update, max_steps=2000).converged


def test_graded_units_answer_by_softmax():
    labels = np.array([[0, 1, 2, 0, 1], [2, 0, 0, 1, 2], [1, 2, 0, 1, 0]])
    one_hot = np.eye(3)[labels]
    memory = ours.GradedUnits(*ours.log_odds(real(one_hot)))
    couplings, bias = plain.bcpnn_couplings(labels, 3)
    np.testing.assert_allclose(memory.couplings, couplings, atol=1e-5)
    np.testing.assert_allclose(memory.bias, bias, atol=1e-5)
    start = np.full((5, 3), 1 / 3)
    start[:3] = one_hot[1][:3]  # three of five units are known
    for steps in (1, 5, 50):
        result = eam.recall(memory, real(start), eam.Synchronous(), max_steps=steps)
        np.testing.assert_allclose(
            result.state, plain.softmax_steps(couplings, bias, start, steps), atol=1e-4
        )
    assert result.energies is None
    np.testing.assert_array_equal(np.argmax(result.state, axis=1), labels[1])


def test_relaxation_of_graded_units_goes_there_too():
    """A leak at the output moves the units towards their answer by a share of the way."""
    memory = ours.GradedUnits(*ours.log_odds(real(np.eye(3)[np.array([[0, 1, 2, 0], [2, 0, 0, 1]])])))
    start = jr.dirichlet(jr.key(0), jnp.ones(3), (4,))
    whole = eam.recall(memory, start, eam.Synchronous(), max_steps=1).state
    half = eam.recall(memory, start, eam.Relaxation(0.5, leak="output"), max_steps=1).state
    np.testing.assert_allclose(half, 0.5 * (start + whole), atol=1e-5)
