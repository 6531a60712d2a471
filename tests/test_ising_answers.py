"""What `minimize` answers: all chains in order, in the user's names, with exact energies."""

import dimod
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import all_states

import energyam as eam

BORDERS = [("A", "B"), ("B", "C"), ("A", "C"), ("C", "D")]


def random_qubo(D, seed, size=5):
    rng = np.random.default_rng(seed)
    return {(f"v{i}", f"v{j}"): float(rng.integers(-size, size + 1)) for i in range(D) for j in range(i, D)}


def lowest(problem):
    rows = (1 + np.asarray(all_states(len(problem.labels)), np.float64)) / 2
    low = 0 if problem.vartype == "BINARY" else -1
    return problem.given.energies(low + (1 - low) * rows).min()


@pytest.mark.parametrize("method", ["annealing", "tempering"])
def test_the_lowest_state_of_a_qubo_is_answered_in_its_own_bits(method):
    Q = random_qubo(10, 1)
    problem = eam.ising.from_qubo(Q, eam.ZeroOne() if method == "tempering" else None)
    found = eam.ising.minimize(problem, 12, 40, method=method, key=jr.key(0))
    assert found.energy == lowest(problem) == eam.ising.qubo_value(Q, found.best)
    assert set(found.best) == set(problem.labels) and set(found.best.values()) <= {0, 1}
    assert (np.diff(found.energies) >= 0).all() and found.minima.all() and found.is_minimum
    states = np.asarray(found.states)
    for chain in range(12):
        assert problem.value(found.answer(chain)) == found.energies[chain]
        assert found.counts[chain] == (states == states[chain]).all(axis=1).sum()
    assert found.energy == problem.energy(found.state)


def test_tempering_keeps_the_lowest_state_that_it_has_seen():
    """At these temperatures a state lies near −11 on average; in 400 sweeps much lower ones are seen."""
    problem = eam.ising.from_ising(None, {(i, j): -1.0 for i in range(12) for j in range(i)})
    hot = eam.ising.minimize(problem, 8, 400, lambda chain: 15.0 + chain, method="tempering", key=jr.key(0))
    from energyam.dynamics.tempering import Tempering
    from energyam.ising.annealing import _tempered

    rule = Tempering(15.0 + jnp.arange(8.0), eam.HeatBath(1.0))
    start = jnp.tile(jnp.where(jnp.arange(12) % 2, 1.0, -1.0), (8, 1))
    seen = _tempered(problem.memory, start, rule, jnp.asarray(400), jr.key(1))
    energies = jax.vmap(problem.energy)(seen)
    assert (
        hot.energy == -66 and energies.max() < -20
    )  # at these temperatures a state lies near −11 on average


def test_a_search_goes_on_from_what_was_found():
    problem = eam.ising.from_qubo(random_qubo(60, 2))
    rough = eam.ising.minimize(problem, 4, 1, lambda sweep: 1e4, key=jr.key(0))
    more = eam.ising.minimize(problem, 4, 30, start=rough, key=jr.key(1))
    assert (more.energies <= rough.energies).all() and more.energies.sum() < rough.energies.sum()
    hot = eam.ising.minimize(problem, 4, 2, lambda sweep: 1e4, start=more, key=jr.key(2))
    assert (hot.energies <= more.energies).all()  # no chain ends above its start
    for start in (more.best, [more.best, rough.best], np.asarray(more.state), np.asarray(more.states)[:2]):
        again = eam.ising.minimize(problem, 3, 2, start=start, key=jr.key(3))
        assert again.energy <= more.energy
    memory = problem.memory
    assert eam.ising.minimize(memory, 2, 2, start=more.state, key=jr.key(3)).energy <= memory.energy(
        more.state
    )


def test_energies_are_those_of_the_numbers_given_and_descent_ends_by_them():
    """Number partitioning: energies near 0 are differences of sums near 10¹⁰, too close for float32."""
    numbers = np.random.default_rng(3).integers(1, 100_000, 20)
    J = {(i, j): 2.0 * numbers[i] * numbers[j] for i in range(20) for j in range(i)}
    problem = eam.ising.from_ising(None, J, float((numbers**2).sum()))
    with pytest.warns(UserWarning, match=r"rounded to float32: \d+ becomes \d+"):
        found = eam.ising.minimize(problem, 16, 50, key=jr.key(0))
    signs = np.array([[found.answer(c)[k] for k in range(20)] for c in range(16)])
    gaps = signs @ numbers
    np.testing.assert_array_equal(found.energies, gaps**2)
    moved = gaps[:, None] - 2 * signs * numbers
    assert (moved**2 >= gaps[:, None] ** 2).all()
    rounded = jax.vmap(problem.energy)(found.states)
    assert (np.asarray(rounded) != found.energies).any()


def test_penalties_beside_small_costs_decide_right_or_are_said(recwarn):
    def chosen(penalty):
        problem = eam.ising.from_qubo({(k, k): 1.5 + k for k in range(6)})
        return eam.ising.minimize(eam.ising.one_hot(problem, range(6), penalty), 8, 30, key=jr.key(0))

    assert chosen(1e6).energy == 1.5 and not recwarn.list
    with pytest.warns(UserWarning, match="-999999998.5 becomes -1000000000"):
        assert chosen(1e9).energy == 1.5


def test_whole_numbers_that_floats_change_are_said():
    with pytest.warns(UserWarning, match="1099511627777 becomes 1099511627776"):
        eam.ising.from_ising(None, {("a", "b"): 2**40 + 1}).memory  # noqa: B018
    for scale, message in ((1e39, "got 1e"), (1e-40, "got 1e-40 as the largest")):
        with pytest.raises(ValueError, match=r"couplings must lie within the range of float32; " + message):
            eam.ising.from_ising({"a": scale}, {("a", "b"): scale}).memory  # noqa: B018


@pytest.mark.parametrize("scale", [2.0**-70, 2.0**66])
def test_searches_do_not_depend_on_the_unit(scale):
    """2^±70 squared is beyond float32."""
    rng = np.random.default_rng(5)
    upper = np.triu(rng.integers(-4, 5, (16, 16)), 1) * 1.0
    plain, scaled = (eam.HopfieldNetwork((upper + upper.T) * s) for s in (1.0, scale))
    pairs = np.argwhere(upper)
    sparse = eam.SparseNetwork(pairs, upper[tuple(pairs.T)] * scale, dim=16)
    for memory in (scaled, sparse):
        size = memory.flips().typical_field() / np.float32(scale)
        np.testing.assert_allclose(size, plain.flips().typical_field(), rtol=1e-6)
    for search in (
        lambda memory: eam.ising.minimize(memory, 4, 5, key=jr.key(1)).energies,
        lambda memory: (
            eam.recall(memory, np.ones((4, 16)), eam.ising.SimulatedBifurcation(9), 9, key=jr.key(1)).energies
        ),
    ):
        np.testing.assert_array_equal(np.asarray(search(scaled)) / np.float32(scale), search(plain))


def test_bifurcation_serves_problems_and_sparse_networks_alike():
    ring = {(k, (k + 1) % 300): -1.0 for k in range(300)}
    problem = eam.ising.from_ising(None, ring)
    dense = np.zeros((300, 300))
    for i, j in ring:
        dense[i, j] = dense[j, i] = 1.0
    rule, start = eam.ising.SimulatedBifurcation(20), np.ones((2, 300))
    results = [eam.recall(m, start, rule, 20, key=jr.key(0)) for m in (problem, eam.HopfieldNetwork(dense))]
    assert isinstance(problem.memory, eam.SparseNetwork)
    np.testing.assert_array_equal(results[0].energies[:, :3], results[1].energies[:, :3])
    assert (results[0].energies[:, -1] < -200).all()


def test_constraints_add_what_breaking_them_costs_and_can_be_checked():
    for vartype in ("BINARY", "SPIN"):
        labels = "abcd"
        if vartype == "BINARY":
            problem = eam.ising.from_qubo({(v, v): 0.0 for v in labels})
        else:
            problem = eam.ising.from_ising(dict.fromkeys(labels, 0.0), {})
        problem = eam.ising.one_hot(problem, ["a", "b"], 3.0)
        problem = eam.ising.at_most(problem, ["b", "c", "d"], 1, 2.0)
        problem = eam.ising.equals(problem, {"a": 2.0, "d": -1.0}, 1.0, 5.0)
        for z in (1 + np.asarray(all_states(4))) // 2:
            a, b, c, d = z.tolist()
            answer = dict(zip(labels, (z if vartype == "BINARY" else 2 * z - 1).tolist(), strict=True))
            n = b + c + d
            expected = 3.0 * (a + b - 1) ** 2 + 2.0 * n * (n - 1) / 2 + 5.0 * (2 * a - d - 1) ** 2
            assert problem.value(answer) == expected
            names = problem.broken(answer)
            wanted = {
                "exactly 1 of a, b": a + b != 1,
                "at most 1 of b, c, d": n > 1,
                "a sum of 1 over a, d": 2 * a - d != 1,
            }
            assert names == [name for name, broken in wanted.items() if broken]


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_at_most_a_number_costs_nothing_up_to_it_and_at_least_the_penalty_beyond(count):
    free = eam.ising.from_qubo({(k, k): 0.0 for k in range(6)})
    problem = eam.ising.at_most(free, range(6), count, 2.0)
    slack = len(problem.labels) - 6
    for ones in range(7):
        bits = [k < ones for k in range(6)]
        rest = (1 + np.asarray(all_states(slack))) // 2 if slack else np.zeros((1, 0))
        least = min(problem.value([*bits, *map(int, row)]) for row in rest)
        assert least == 2.0 * max(0, ones - count) ** 2 and bool(problem.broken([*bits, *[0] * slack])) == (
            ones > count
        )
    greedy = eam.ising.from_qubo({(k, k): -1.0 - k for k in range(6)})
    found = eam.ising.minimize(eam.ising.at_most(greedy, range(6), count, 8.0), 16, 60, key=jr.key(0))
    assert found.energy == -sum(range(6, 6 - count, -1)) and not found.broken
    assert list(found.best) == list(range(6))  # without the bits that count


def test_the_answer_prints_as_a_table():
    problem = eam.ising.from_qubo({((a, c), (b, c)): 1 for a, b in BORDERS for c in "rgb"})
    for place in "ABCD":
        problem = eam.ising.one_hot(problem, [(place, c) for c in "rgb"], 2)
    found = eam.ising.minimize(problem, 8, 30, key=jr.key(0))
    lines = repr(found).splitlines()
    assert (
        lines[0].startswith("Minimum of 8 chains, ")
        and lines[1].split() == "energy chains minimum broken state".split()
    )
    assert lines[2].split()[:4] == ["0", str(found.counts[0]), "yes", "0"]
    assert "<table>" in found._repr_html_() and any(f"('A', '{c}')" in repr(found) for c in "rgb")
    colours = {place: c for (place, c), bit in found.best.items() if bit}
    assert found.broken == [] and all(colours[a] != colours[b] for a, b in BORDERS)
    assert repr(problem).startswith("Problem(BINARY, 12 variables ('A', 'b'), ('A', 'g'), ('A', 'r'), ")
    assert repr(problem).endswith("; 24 couplings, 4 constraints)")


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_a_model_of_dimod_is_answered_in_its_own_names_values_and_energies(vartype):
    linear, quadratic = {("a", 1): 0.5, "b": -1.0, 7: 0.25}, {(("a", 1), "b"): 2.0, ("b", 7): -0.75}
    model = dimod.BinaryQuadraticModel(linear, quadratic, 1.5, vartype)
    found = eam.ising.minimize(eam.ising.from_bqm(model), 6, 5, key=jr.key(0))
    answer = found.to_sampleset()
    assert answer.vartype is model.vartype and list(answer.variables) == list(model.variables)
    np.testing.assert_array_equal(answer.record.energy, model.energies(answer))
    rows, times = answer.record.sample, answer.record.num_occurrences
    assert times.sum() == 6 and len(np.unique(rows, axis=0)) == len(rows)
    assert answer.first.energy == found.energy == dimod.ExactSolver().sample(model).first.energy
    assert answer.first.sample == found.best and eam.ising.to_bqm(found.problem) == model
    with pytest.raises(ValueError, match="minimize must be given a Problem"):
        eam.ising.minimize(found.problem.memory, 2, 2, key=jr.key(0)).to_sampleset()


def test_a_memory_is_answered_by_the_numbers_of_its_neurons():
    memory = eam.HopfieldNetwork(np.ones((3, 3)) - np.eye(3), np.array([1.0, 0, 0]))
    found = eam.ising.minimize(memory, 4, 5, key=jr.key(0))
    assert found.best == {0: 1, 1: 1, 2: 1} and found.energy == -4 and found.broken == []
    assert "+ at 0, 1, 2" in repr(found)
