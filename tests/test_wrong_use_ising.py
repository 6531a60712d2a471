"""Wrong use of `energyam.ising` is told in one line that names the argument."""

import gzip
import sys

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam

GRAPH = b"3 2\n1 2 5\n3 2 -1\n"
MEMORY = eam.HopfieldNetwork(np.ones((4, 4)) - np.eye(4))


@pytest.mark.parametrize("function", [eam.ising.from_qubo, eam.ising.max_cut])
def test_matrices_must_be_square_and_finite(function):
    with pytest.raises(ValueError, match=r"must be square, \(D, D\); got shape \(2, 3\)"):
        function(np.ones((2, 3)))
    with pytest.raises(ValueError, match="must be finite; got NaN"):
        function(np.full((2, 2), np.nan))


def test_weights_of_a_graph_must_be_symmetric_and_states_fit():
    with pytest.raises(ValueError, match="weights must be symmetric"):
        eam.ising.max_cut(np.triu(np.ones((3, 3))))
    with pytest.raises(ValueError, match=r"weights must be symmetric; got W\[1, 2\] = 3 and W\[2, 1\] = 0 "):
        eam.ising.max_cut([[0, 1e5, 0], [1e5, 0, 3], [0, 0, 0]])
    with pytest.raises(ValueError, match=r"state must be \(3,\)"):
        eam.ising.cut_value(np.ones((3, 3)), np.ones(4))


@pytest.mark.parametrize(
    "text, message",
    [
        ("3 1\n1 4 1\n", "line 2: vertices must be from 1 to 3; got 4"),
        ("3 2\n1 2 1\n0 2 1\n", "line 3: vertices must be from 1 to 3; got 0"),
        ("3 1\n2 2 1\n", "line 2: an edge must join two vertices; got 2 twice"),
        ("3 1\n1 2\n", "line 2: must be 'i j w'; got '1 2'"),
        ("3 1\n1 2 x\n", "line 2: must be 'i j w'; got '1 2 x'"),
        ("3 1\n1 2 nan\n", "line 2: a weight must be finite"),
        ("3\n", "line 1: must be 'n m'; got '3'"),
        ("0 0\n", "line 1: n must be at least 1"),
        ("1000000 1\n1 2 1\n", "line 1: n must be at least 1 and at most 46,340"),
        ("1_0 1\n1 2 1\n", "line 1: must be 'n m'; got '1_0 1'"),
        ("3 1\n1 2 1_0\n", "line 2: must be 'i j w'; got '1 2 1_0'"),
        ("3 1\n1 ٣ 1\n", "line 2: must be 'i j w'"),
        ("3 1\n1 2 1e39\n", "line 2: a weight must be finite as float32; got 1e[+]39"),
        ("3 2\n1 2 3e38\n2 1 3e38\n", "line 3: a weight must be finite as float32; got 6e[+]38"),
        ("3 1\n1 2 -inf\n", "line 2: a weight must be finite"),
        ("3 1\n1 2 " + "9" * 5000 + "\n", "line 2: a weight must be finite"),
        ("3 1\n1 " + "9" * 5000 + " 1\n", "line 2: must be 'i j w'; got '1 9999.* …'"),
        ("3 2\n1 2 1\n", "must have m = 2 edges, as line 1 says; got 1"),
        ("", "must start with a line 'n m'"),
    ],
)
def test_a_malformed_graph_file_is_named_by_its_line(text, message, tmp_path):
    (tmp_path / "graph").write_text(text)
    with pytest.raises(ValueError, match=message):
        eam.ising.read_gset(tmp_path / "graph")


@pytest.mark.parametrize(
    "content, message",
    [
        (gzip.compress(GRAPH, mtime=0)[:-9], "is a damaged or truncated archive"),
        (gzip.compress(GRAPH, mtime=0)[:-8] + bytes(8), "is a damaged or truncated archive: CRC"),
        (gzip.compress(GRAPH, mtime=0)[:14] + bytes(9), "is a damaged or truncated archive"),
        (b"3 1\n1 \xff 1\n", "line 2: must be text in UTF-8"),
        (GRAPH.decode().encode("utf-16")[:-1], "line .*: must be text in UTF-8"),
    ],
)
def test_a_damaged_graph_file_is_named(content, message, tmp_path):
    (tmp_path / "graph.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"graph\.gz.*" + message):
        eam.ising.read_gset(tmp_path / "graph.gz")


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_of_a_graph_file_crashes_its_reader(seed, tmp_path):
    """Bytes changed, cut off and put in, plain and packed: read, or refused with the path."""
    rng, path = np.random.default_rng(seed), tmp_path / "graph"
    for _ in range(100):
        content = bytearray(gzip.compress(GRAPH, mtime=0) if rng.random() < 0.5 else GRAPH)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            content[at] = rng.integers(256)
        path.write_bytes(content[: rng.integers(1, 2 * len(content))])
        try:
            weights = eam.ising.read_gset(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(weights).all()


@pytest.mark.parametrize("number", [0, -1, 2.5, True])
def test_numbers_of_chains_sweeps_and_columns_are_counts(number):
    for arguments in ((number, 5), (5, number)):
        with pytest.raises(ValueError, match=r"num_(chains|sweeps) must be an integer of at least 1"):
            eam.ising.minimize(MEMORY, *arguments, key=jr.key(0))
        with pytest.raises(ValueError, match=r"num_(neurons|columns) must be an integer of at least 1"):
            eam.ising.planted(*arguments, key=jr.key(0))
    with pytest.raises(ValueError, match="num_neurons must be an integer of at least 1"):
        eam.ising.sherrington_kirkpatrick(number, key=jr.key(0))
    with pytest.raises(ValueError, match="num_steps must be an integer of at least 1"):
        eam.ising.SimulatedBifurcation(number)


def test_a_schedule_is_a_function_to_temperatures():
    for schedule, message in [
        (lambda sweep: 1.0 - sweep, "schedule must be at least 0 at every sweep; got -1 at sweep 2"),
        (lambda sweep: jnp.nan, "schedule must be finite"),
        (1.0, "schedule must be a function of the sweep; got 1.0"),
        (lambda sweep: jnp.ones(2), "schedule must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            eam.ising.minimize(MEMORY, 2, 5, schedule, key=jr.key(0))


def test_memories_must_have_neurons_that_flip_and_a_shape():
    continuous = eam.ModernHopfield(np.ones((2, 4)), 1.0)
    with pytest.raises(ValueError, match="memory must have ±1 neurons for annealing"):
        eam.ising.minimize(continuous, 2, 5, key=jr.key(0))

    class Shapeless:
        def energy(self, state):
            return state.sum()

    with pytest.raises(ValueError, match=r"memory must have a state_shape, \(D,\)"):
        eam.ising.minimize(Shapeless(), 2, 5, key=jr.key(0))
    with pytest.raises(ValueError, match="key must be a jax random key"):
        eam.ising.minimize(MEMORY, 2, 5, key=3)


def test_bifurcation_wants_a_network_and_a_step():
    rule = eam.ising.SimulatedBifurcation(5)
    with pytest.raises(ValueError, match="memory must be an instance of HopfieldNetwork"):
        eam.recall(eam.CHN(np.ones((1, 4))), np.ones(4), rule, key=jr.key(0))
    with pytest.raises(ValueError, match="key must be given"):
        eam.recall(MEMORY, np.ones(4), rule)
    with pytest.raises(ValueError, match="step_size must be positive"):
        eam.ising.SimulatedBifurcation(5, step_size=0.0)
    with pytest.raises(ValueError, match="discrete must be True or False"):
        eam.ising.SimulatedBifurcation(5, discrete="ballistic")


def test_models_of_dimod_are_asked_for_by_name(monkeypatch):
    with pytest.raises(ValueError, match=r"bqm must be a dimod\.BinaryQuadraticModel; got dict"):
        eam.ising.from_bqm({})
    with pytest.raises(ValueError, match="memory must be an instance of HopfieldNetwork"):
        eam.ising.to_bqm(eam.CHN(np.ones((1, 4))))
    monkeypatch.setitem(sys.modules, "dimod", None)
    with pytest.raises(ImportError, match=r'pip install "energyam\[ising\]"'):
        eam.ising.to_bqm(MEMORY)
