"""Problems from whatever users have: the same energies as plain sums over what was given."""

import gzip
import itertools

import dimod
import equinox as eqx
import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest
import scipy.sparse
from zoo import all_states

import energyam as eam

EDGES = {("a", "b"): 3.0, ("b", ("c", 1)): -1.0, ("a", ("c", 1)): 2.0, (("c", 1), 7): 0.5}


def cut(edges, answer):
    return sum(w for (u, v), w in edges.items() if answer[u] != answer[v])


def answers(problem):
    low = 0 if problem.vartype == "BINARY" else -1
    for values in itertools.product((low, 1), repeat=len(problem.labels)):
        yield dict(zip(problem.labels, values, strict=True))


def check_energies(problem, expected):
    """The problem's own value, its memory's energy with the offset, and its energy as a memory."""
    memory, offset = problem
    for answer in answers(problem):
        state = problem.states(problem.row(answer))
        assert problem.value(answer) == expected(answer)
        assert memory.energy(state) + offset == problem.energy(state) == expected(answer)


def test_a_cut_of_a_dictionary_or_a_graph_has_the_edges_that_it_parts():
    labels = ["a", "b", ("c", 1), 7]
    graph = networkx.Graph((u, v, {"cost": w, "weight": 1}) for (u, v), w in EDGES.items())
    for problem in (eam.ising.max_cut(EDGES), eam.ising.max_cut(graph, weight="cost")):
        assert set(problem.labels) == set(labels) and problem.vartype == "SPIN"
        check_energies(problem, lambda answer: -cut(EDGES, answer))
    plain = eam.ising.max_cut(graph)
    check_energies(plain, lambda answer: -cut(dict.fromkeys(EDGES, 1.0), answer))
    bare = eam.ising.max_cut(networkx.Graph(list(EDGES)))
    assert bare.value(dict.fromkeys(labels, 1)) == 0 and bare.given.quadratic.tolist() == [0.5] * 4


@pytest.mark.parametrize("neurons", [eam.Binary(), eam.ZeroOne()], ids=["binary", "zero_one"])
def test_a_qubo_by_labels_has_its_energy_in_bits(neurons):
    Q = {("x", "x"): -2.0, ("x", "y"): 3.0, ("y", "x"): 1.0, ("z", "y"): -5.0}
    problem = eam.ising.from_qubo(Q, neurons)
    assert problem.labels == ("x", "y", "z") and problem.vartype == "BINARY"
    check_energies(problem, lambda z: sum(q * z[i] * z[j] for (i, j), q in Q.items()))
    assert problem.memory.neurons == neurons
    if neurons.values == (0, 1):  # without conversion: bits are states, and there is no offset
        assert problem.memory.energy(jnp.array([1, 1, 0])) == 2.0 and problem.offset == 0


def test_an_ising_problem_has_fields_couplings_and_an_offset():
    h, J = {"u": 1.0, "w": -2.0}, {("u", "v"): 3.0, ("v", "u"): 0.5}

    def energy(s):
        return sum(a * s[i] for i, a in h.items()) + sum(q * s[i] * s[j] for (i, j), q in J.items()) - 4

    check_energies(eam.ising.from_ising(h, J, -4.0), energy)
    alone = eam.ising.from_ising(h, {})
    check_energies(alone, lambda s: s["u"] - 2 * s["w"])
    matrix = np.array([[0, 2.0, 0], [2, 0, -1], [0, -1, 0]])
    for given in (matrix, scipy.sparse.csr_array(matrix), scipy.sparse.coo_matrix(matrix), matrix.tolist()):
        problem = eam.ising.from_ising([1, 0, 0.5], given)
        check_energies(problem, lambda s: s[0] + 0.5 * s[2] + 2 * s[0] * s[1] - s[1] * s[2])


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_models_of_dimod_of_every_kind_keep_their_energies(vartype):
    linear, quadratic = {("a", 1): 0.5, "b": -1.0, 7: 0.25}, {(("a", 1), "b"): 2.0, ("b", 7): -0.75}
    model = dimod.BinaryQuadraticModel(linear, quadratic, 1.5, vartype)
    single = dimod.BinaryQuadraticModel(model, dtype=np.float32)
    constrained = dimod.ConstrainedQuadraticModel.from_bqm(model)
    terms = {(v,): h for v, h in linear.items()} | quadratic | {(): 1.5}
    polynomial = dimod.BinaryPolynomial(terms, vartype)
    for one in (model, single, dimod.QuadraticModel.from_bqm(model), constrained, polynomial):
        problem = eam.ising.from_bqm(one)
        assert set(problem.labels) == set(model.variables) and problem.vartype == vartype
        check_energies(problem, model.energy)


@pytest.mark.parametrize("kind", [np.float16, np.int64, bool, "jax", "scipy"])
def test_matrices_of_any_kind_are_read_alike(kind):
    matrix = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0]])
    given = {"jax": jnp.asarray, "scipy": scipy.sparse.csr_matrix}.get(kind, lambda m: m.astype(kind))(matrix)
    problem = eam.ising.from_qubo(given)
    check_energies(problem, lambda z: z[0] + 2 * z[0] * z[1] + 2 * z[1] * z[2])
    given = eam.ising.max_cut(given)
    check_energies(given, lambda s: -float((s[0] != s[1]) + (s[1] != s[2])))


FILES = {
    "gset": "4 3\n1 2 5\n2 3 1\n4 1 -2\n",
    "unweighted": "4 3\n1 2\n2 3\n4 1\n",
    "bare": "# who with whom\n1 2\n2 3\n4 1\n",
    "weighted": "1 2 5\n2 3 1\n4 1 -2\n",
    "dimacs": "c a comment\np edge 4 3\ne 1 2\ne 2 3\ne 4 1\n",
    "dimacs_weighted": "p max 4 3\ne 1 2 5\ne 2 3 1\ne 4 1 -2\n",
    "market": "%%MatrixMarket matrix coordinate real symmetric\n% one\n4 4 3\n2 1 5\n3 2 1\n4 1 -2\n",
    "general": "%%MatrixMarket matrix coordinate integer general\n4 4 6\n"
    "2 1 5\n1 2 5\n3 2 1\n2 3 1\n4 1 -2\n1 4 -2\n",
    "pattern": "%%matrixmarket matrix coordinate pattern symmetric\n4 4 3\n2 1\n3 2\n4 1\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_files_of_graphs_are_read_by_what_they_hold(name, packed, tmp_path):
    content = FILES[name].encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    problem = eam.ising.max_cut(tmp_path / name)
    weights = (5, 1, -2) if "5" in FILES[name] else (1, 1, 1)
    edges = dict(zip([(1, 2), (2, 3), (4, 1)], weights, strict=True))
    assert list(problem.labels) == [1, 2, 3, 4]
    check_energies(problem, lambda answer: -cut(edges, answer))
    assert eam.ising.cut_value(str(tmp_path / name), [1, -1, 1, 1]) == weights[0] + weights[1]


def test_files_of_qubos_are_read(tmp_path):
    Q = {(0, 0): -1.0, (0, 2): 2.5, (2, 2): 4.0}
    lines = "".join(f"{i} {j} {q}\n" for (i, j), q in Q.items())
    (tmp_path / "a.coo").write_text("# vartype=BINARY\n" + lines)
    (tmp_path / "a.qubo").write_text("c of qbsolv\np qubo 0 3 2 1\n" + lines)
    market = "%%MatrixMarket matrix coordinate real general\n3 3 3\n1 1 -1\n1 3 2.5\n3 3 4\n"
    (tmp_path / "a.mtx").write_text(market)
    for name, labels in (("a.coo", [0, 2]), ("a.qubo", [0, 1, 2]), ("a.mtx", [1, 2, 3])):
        problem = eam.ising.from_qubo(tmp_path / name)
        assert list(problem.labels) == labels
        one = labels[0]
        check_energies(problem, lambda z, one=one: -z[one] + 2.5 * z[one] * z[one + 2] + 4 * z[one + 2])


def test_few_couplings_among_many_neurons_are_held_as_edges():
    ring = {(k, (k + 1) % 300): 1.0 + k % 3 for k in range(300)}
    problem = eam.ising.max_cut(ring)
    assert isinstance(problem.memory, eam.SparseNetwork) and problem.labels == range(300)
    x = np.where(np.arange(300) % 5 < 2, 1, -1)
    assert problem.energy(x) == -cut(ring, x) == problem.value(x)
    few = {pair: w for pair, w in ring.items() if max(pair) < 256}
    assert isinstance(eam.ising.max_cut(few).memory, eam.HopfieldNetwork)
    dense = np.ones((300, 300)) - np.eye(300)
    assert isinstance(eam.ising.max_cut(dense).memory, eam.HopfieldNetwork)


def test_a_problem_serves_as_a_memory_and_its_energies_include_the_offset():
    problem = eam.ising.max_cut(np.ones((6, 6)) - np.eye(6))
    result = eam.recall(
        problem, jnp.ones((2, 6)), eam.HeatBath(lambda step: 2.0 - step / 5), 11, key=jax.random.key(0)
    )
    assert result.converged.all() and (result.energies[:, -1] == -9).all()
    assert eam.is_local_minimum(problem, result.state).all()
    ring = np.diag(np.ones(299), 1) + np.diag(np.ones(299), -1)
    for one in (problem, eam.ising.max_cut(ring)):  # dense, and as edges
        x = jnp.where(jnp.arange(one.num_neurons) % 3 == 0, 1.0, -1.0)
        assert one.flips().energy(one.flips().start(x), x) == one.energy(x) == one.value(x)
    assert problem.num_neurons == 6 and (problem.field(jnp.ones(6)) == -2.5).all()
    first = jax.tree.map(lambda leaf: leaf, problem)
    assert first.labels == problem.labels and eqx.tree_equal(first.memory, problem.memory)
    with pytest.raises(AttributeError):
        problem.patterns  # noqa: B018


def test_values_are_those_of_the_same_sums_under_vmap():
    rng = np.random.default_rng(0)
    upper = np.triu(rng.integers(-3, 4, (7, 7)), 1)
    weights, x = upper + upper.T, np.asarray(all_states(7))
    cuts = jax.vmap(lambda s: eam.ising.cut_value(weights, s))(x)
    np.testing.assert_array_equal(cuts, [eam.ising.cut_value(weights, s) for s in x])
    z = (1 + x) / 2
    values = jax.vmap(lambda s: eam.ising.qubo_value(upper, s))(z)
    np.testing.assert_array_equal(values, [eam.ising.qubo_value(upper, s) for s in z])
    np.testing.assert_array_equal(values, np.sum(z @ upper * z, axis=1))
    assert eam.ising.qubo_value(upper, z[5].astype(bool)) == values[5]


def test_values_of_large_whole_numbers_are_exact():
    Q = {("a", "b"): 2**40 + 1, ("a", "a"): -(2**40)}
    assert eam.ising.qubo_value(Q, {"a": 1, "b": 1}) == 1.0
    weights = np.array([[0, 2**24 + 1], [2**24 + 1, 0]])
    assert eam.ising.cut_value(weights, [1, -1]) == 2**24 + 1
