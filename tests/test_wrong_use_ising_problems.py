"""Wrong input of problems, constraints, files and starts is said in one line that names it."""

import dimod
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.sparse

import energyam as eam

PROBLEM = eam.ising.from_qubo({("a", "b"): 1.0, ("b", "b"): -1.0, ("c", "c"): 2.0})


@pytest.mark.parametrize(
    "given, message",
    [
        ({"a": 1.0}, "Q must have pairs of labels as keys, such as .*; got 'a'"),
        ({("a", "b", "c"): 1.0}, "Q must have pairs of labels as keys"),
        ({("a", "b"): "1"}, r"Q\[\('a', 'b'\)\] must be a number that a float can hold; got '1'"),
        ({("a", "b"): None}, r"Q\[\('a', 'b'\)\] must be a number"),
        ({("a", "b"): np.nan}, "Q must be finite; got NaN for 'a', 'b'"),
        ({("a", "b"): -np.inf}, "Q must be finite; got infinity for 'a', 'b'"),
        ({}, "Q must not be empty"),
        (scipy.sparse.csr_array(np.ones((2, 3))), r"Q must be square, \(D, D\); got shape \(2, 3\)"),
        (scipy.sparse.csr_array(np.ones((2, 2)) * 1j), "Q must be real"),
        ([[1.0, 2.0], [3.0]], "Q must be a numeric array"),
        (np.array([["a", "b"], ["c", "d"]]), "Q must be a numeric array"),
    ],
)
def test_what_is_no_qubo_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        eam.ising.from_qubo(given)


def test_neurons_of_a_qubo_are_those_of_bits_or_signs():
    with pytest.raises(ValueError, match=r"neurons must be eam\.Binary\(\) or eam\.ZeroOne\(\)"):
        eam.ising.from_qubo(np.eye(2), eam.Spherical())


def test_problems_are_made_outside_jit():
    with pytest.raises(ValueError, match="Q must be known; got a traced array"):
        jax.jit(lambda Q: eam.ising.from_qubo(Q).offset)(jnp.eye(3))
    with pytest.raises(ValueError, match="memory and key must be known"):
        jax.jit(lambda key: eam.ising.minimize(PROBLEM, 2, 2, key=key).states)(jr.key(0))


def test_couplings_of_spins_must_be_pairs_in_both_places():
    for J, message in [
        (np.triu(np.ones((3, 3)), 1), r"J must be symmetric; got W\[0, 1\] = 1 and W\[1, 0\] = 0"),
        (np.eye(3), "J must not couple a spin with itself, as s² = 1; got 0 twice"),
        ({("a", "a"): 1.0}, "J must not couple a spin with itself, as s² = 1; got 'a' twice"),
        ({}, "J must not be empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            eam.ising.from_ising(None, J)
    for h, message in [
        ([1.0, 2.0], r"h must be \(3\)"),
        ([1.0, np.nan, 0], "h must be finite"),
        ({0: "x"}, r"h\[0\] must be a number"),
    ]:
        with pytest.raises(ValueError, match=message):
            eam.ising.from_ising(h, np.ones((3, 3)) - np.eye(3))


def test_values_are_bits_for_a_qubo_and_signs_for_a_cut():
    Q, weights = np.triu(np.ones((3, 3))), np.ones((3, 3)) - np.eye(3)
    for bits, message in [
        ([1, -1, 1], "bits must have entries 0 and 1, as the variables are bits; got -1, 1"),
        ([0.5, 0, 1], "bits must have entries 0 and 1"),
        ([1, 0], r"bits must be \(3,\)"),
        ({0: 1, 1: 0}, "bits must have a value for each label; got none for 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            eam.ising.qubo_value(Q, bits)
    for state, message in [
        ([1, 0, 1], "state must have entries −1 and 1; got 0, 1"),
        ([True, True, True], "state must have entries −1 and 1; got bools"),
        ([1, 0.5, -1], "state must have entries −1 and 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            eam.ising.cut_value(weights, state)
    with pytest.raises(ValueError, match="weights must be symmetric"):
        eam.ising.cut_value(np.triu(weights), [1, -1, 1])


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 2\n2 3 4\n", "must have m = 2 edges|line 1"),
        ("1 2\n3 x\n", "line 2: must be 'i j'; got '3 x'"),
        ("1 2\n3 3\n", "line 2: an edge must join two vertices; got 3 twice"),
        ("3 9\n1 2\n2 3\n", "line 1: 'n m' must count the edges; got 9, and 2 lines follow"),
        ("1 2 3\n1 2\n", "line 2: must be 'i j w'; got '1 2'"),
        ("c only\n# comments\n", "must hold lines 'i j w'; it is empty"),
        ("p edge 3 2\ne 1 2\n", "must have m = 2 edges, as line 1 says; got 1"),
        ("c\np edge 3 1\nf 1 2\n", "line 3: must be 'e i j' or 'e i j w'; got 'f 1 2'"),
        ("p edge 3 1\ne 1 4\n", "line 2: vertices must be from 1 to 3; got 4"),
        ("p edge three 1\n", "line 1: must be 'p edge n m'; got 'three 1'"),
        ("%%MatrixMarket matrix array real general\n2 2\n", "line 1: must be 'matrix coordinate'"),
        ("%%MatrixMarket matrix coordinate real general\n", "must have a line of its size after line 1"),
        (
            "%%MatrixMarket matrix coordinate real general\n2 3 0\n",
            "line 2: the matrix must be square; got 2 × 3",
        ),
        ("%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n1 2 1\n", "must have m = 2 entries"),
        (
            "%%MatrixMarket matrix coordinate real symmetric\n% \n2 2 1\n1 3 1\n",
            "line 4: vertices must be from 1 to 2",
        ),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 2 1\n", "weights must be symmetric"),
    ],
)
def test_a_malformed_graph_is_named_by_its_file_and_line(text, message, tmp_path):
    (tmp_path / "graph").write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        eam.ising.max_cut(tmp_path / "graph")
    assert str(tmp_path / "graph") in str(raised.value) or "symmetric" in message


def test_a_malformed_qubo_file_is_named_by_its_line(tmp_path):
    for text, message in [
        ("0 0 1\n0 one 2\n", "line 2: must be 'i j w'; got '0 one 2'"),
        ("c\np qubo 0 2 1 1\n0 2 1\n", "line 3: vertices must be from 0 to 1; got 2"),
        ("p qubo 0\n", "line 1: must be 'p qubo 0 n'; got '0'"),
    ]:
        (tmp_path / "Q.qubo").write_text(text)
        with pytest.raises(ValueError, match=r"Q\.qubo, " + message):
            eam.ising.from_qubo(tmp_path / "Q.qubo")


@pytest.mark.parametrize("seed", range(2))
def test_no_damage_of_a_file_crashes_its_reader(seed, tmp_path):
    """Bytes changed, cut off and put in: read, or refused in one line."""
    rng, path = np.random.default_rng(seed), tmp_path / "graph"
    files = (
        b"3 2\n1 2\n2 3\n",
        b"p edge 3 2\ne 1 2\ne 3 2 1\n",
        b"%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n1 2 5\n3 3 1\n",
        b"0 1 5\n0 0 2\n",
    )
    for k in range(300):
        content = bytearray(files[k % len(files)])
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            content[at] = rng.choice(list(b"0123456789 \n.-epc%#x\xff"))
        path.write_bytes(content[: rng.integers(1, 2 * len(content))])
        for make in (eam.ising.max_cut, eam.ising.from_qubo):
            try:
                assert np.isfinite(make(path).given.quadratic).all()
            except ValueError as error:
                assert str(path) in str(error) or "symmetric" in str(error) or "finite" in str(error)


def test_constraints_name_labels_counts_and_penalties():
    for make, message in [
        (
            lambda: eam.ising.one_hot(PROBLEM, ["a", "z"], 1.0),
            "labels must be of the problem; it has no variable 'z'",
        ),
        (
            lambda: eam.ising.one_hot(PROBLEM, "ab", 1.0),
            "labels must be those of several variables; got 'ab'",
        ),
        (lambda: eam.ising.one_hot(PROBLEM, ["a", "a"], 1.0), "labels must be of different variables"),
        (lambda: eam.ising.one_hot(PROBLEM, [], 1.0), "labels must be of different variables, at least one"),
        (lambda: eam.ising.one_hot(PROBLEM, ["a", "b"], -1.0), "penalty must be positive"),
        (
            lambda: eam.ising.one_hot(PROBLEM.memory, ["a", "b"], 1.0),
            "problem must be an instance of Problem",
        ),
        (lambda: eam.ising.at_most(PROBLEM, ["a", "b"], 0, 1.0), "count must be an integer of at least 1"),
        (
            lambda: eam.ising.at_most(PROBLEM, {"a": 0.5}, 1, 1.0),
            "labels must have whole weights of at least 0",
        ),
        (
            lambda: eam.ising.equals(PROBLEM, {"a": np.nan}, 1, 1.0),
            r"labels\['a'\] must be one finite number",
        ),
        (lambda: eam.ising.equals(PROBLEM, ["a"], np.inf, 1.0), "value must be one finite number"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


def test_starts_and_methods_are_named():
    for start, message in [
        ({"a": 1, "b": 0}, "start must have a value for each label; got none for 'c'"),
        ({"a": 1, "b": 0, "c": -1}, "start must have entries 0 and 1"),
        (np.ones(4), r"start must be \(\.\.\., 3\)"),
        (np.array([0, 1, 1]), r"start must be .* with entries ±1"),
        (np.ones((2, 2, 3)), r"start must be one state or \(n, D\) of them"),
    ]:
        with pytest.raises(ValueError, match=message):
            eam.ising.minimize(PROBLEM, 2, 2, start=start, key=jr.key(0))
    with pytest.raises(ValueError, match="method must be one of annealing, tempering; got 'exact'"):
        eam.ising.minimize(PROBLEM, 2, 2, method="exact", key=jr.key(0))
    with pytest.raises(ValueError, match="num_chains must be at least 2 for tempering; got 1"):
        eam.ising.minimize(PROBLEM, 1, 2, method="tempering", key=jr.key(0))
    with pytest.raises(ValueError, match="temperatures must be positive"):
        eam.ising.minimize(PROBLEM, 3, 2, lambda chain: 1.0 * chain, method="tempering", key=jr.key(0))


def test_bifurcation_is_refused_for_bits():
    problem = eam.ising.from_qubo(np.eye(3), eam.ZeroOne())
    with pytest.raises(ValueError, match="memory must have ±1 neurons"):
        eam.recall(problem, np.zeros(3), eam.ising.SimulatedBifurcation(5), key=jr.key(0))


def test_models_of_dimod_that_are_no_quadratic_ones_of_a_kind_are_named():
    with pytest.raises(ValueError, match=r"bqm must be of degree 2 at most; got terms of 3"):
        eam.ising.from_bqm(dimod.BinaryPolynomial({"abc": 1.0}, "SPIN"))
    with pytest.raises(ValueError, match=r"memory must have neurons ±1 or 0/1; got Categorical"):
        eam.ising.to_bqm(eam.HopfieldNetwork(np.zeros((4, 4)), None, eam.Categorical(2)))
