"""Fast weights: both forms give the same answers, and the recurrence is the paper's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from energyam.learning import storkey_step
from energyam.nn import LSTMRNN, FastWeightsCell, FastWeightsRNN

T, I, H, O = 6, 5, 8, 4  # noqa: E741


def network(form="matrix", vocabulary=None, **cell):
    cell_key, key = jr.split(jr.key(0))
    return FastWeightsRNN(FastWeightsCell(I, H, key=cell_key, **cell), O, 10, form, vocabulary, key=key)


@pytest.fixture(scope="module")
def inputs():
    return jr.normal(jr.key(1), (T, I))


def by_hand(cell, inputs, write):
    """Ba et al.'s equations in NumPy, one input after another."""
    A, h, memories = np.zeros((H, H)), np.zeros(H), []
    W, C = np.asarray(cell.recurrent), np.asarray(cell.inputs)
    for x in np.asarray(inputs):
        A, z = write(A, h), W @ h + C @ x
        h = np.maximum(z, 0)
        for inner in range(cell.num_inner):
            norm = cell.norms[inner % len(cell.norms)]
            v = z + A @ h
            v = (v - v.mean()) / np.sqrt(v.var() + norm.eps)
            h = np.maximum(np.asarray(norm.weight) * v + np.asarray(norm.bias), 0)
        memories.append(A)
    return np.stack(memories), h


WRITES = {
    "hebb": lambda A, h: 0.9 * A + 0.5 * np.outer(h, h),
    "storkey": lambda A, h: np.asarray(storkey_step(jnp.asarray(A), jnp.asarray(h), rate=0.5, decay=0.9)),
}


@pytest.mark.parametrize("write", WRITES)
def test_the_recurrence_is_the_papers(inputs, write):
    model = network(num_inner=2, separate_norms=True, write=write)
    norms = lambda model: [norm.weight for norm in model.cell.norms]  # noqa: E731
    model = eqx.tree_at(norms, model, [jnp.linspace(0.5, 1.5, H), jnp.linspace(2.0, 1.0, H)])
    memories, hidden = by_hand(model.cell, inputs, WRITES[write])
    np.testing.assert_allclose(model.memories(inputs), memories, atol=1e-5)
    np.testing.assert_allclose(model(inputs), model.answer(jax.nn.relu(model.dense(hidden))), atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"num_inner": 3}, {"vocabulary": 7}, {"decay": 0.0}])
def test_matrix_and_attention_to_the_past_give_the_same(inputs, options, getkey):
    if "vocabulary" in options:
        inputs = jax.nn.one_hot(jr.randint(getkey(), (T,), 0, 7), 7)
    matrix, attention = network("matrix", **options), network("attention", **options)

    def value_and_gradient(model):
        return eqx.filter_value_and_grad(lambda model: jnp.sum(model(inputs) ** 2))(model)

    (a, a_gradient), (b, b_gradient) = value_and_gradient(matrix), value_and_gradient(attention)
    np.testing.assert_allclose(a, b, rtol=1e-5)
    for x, y in zip(jax.tree.leaves(a_gradient), jax.tree.leaves(b_gradient), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4)


def test_the_attention_form_keeps_less_for_the_gradient():
    cell = FastWeightsCell(I, 64, key=jr.key(0))

    def needed(form):
        model = FastWeightsRNN(cell, O, form=form, key=jr.key(1))
        batch = jax.vmap(lambda model, x: jnp.sum(model(x)), in_axes=(None, 0))
        loss = lambda model, x: batch(model, x).sum()  # noqa: E731
        compiled = jax.jit(jax.grad(loss)).lower(model, jnp.ones((32, 10, I))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert needed("attention") < needed("matrix") / 4


def test_decay_and_rate_are_not_trained(inputs):
    gradient = eqx.filter_grad(lambda model: jnp.sum(model(inputs) ** 2))(network("attention"))
    assert gradient.cell.decay == 0 and gradient.cell.rate == 0
    trained = gradient.cell.recurrent, gradient.cell.inputs, gradient.cell.norms[0].weight
    assert all(part.any() for part in trained)


@pytest.mark.parametrize("form", ["matrix", "attention"])
def test_half_precision_runs_with_finite_gradients(inputs, form):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), network(form))
    gradient = eqx.filter_grad(lambda model: jnp.sum(model(inputs.astype(jnp.bfloat16)) ** 2))(half)
    for leaf in jax.tree.leaves(gradient):
        assert leaf.dtype == jnp.bfloat16 and jnp.isfinite(leaf).all()


def test_the_lstm_is_equinox_cells_in_a_row(inputs, getkey):
    model = LSTMRNN(I, H, O, key=getkey())
    state = jnp.zeros(H), jnp.zeros(H)
    for x in inputs:
        state = model.cell(x, state)
    np.testing.assert_allclose(model(inputs), model.answer(jax.nn.relu(model.dense(state[0]))), atol=1e-6)


BAD_CELLS = {
    "input_size": dict(input_size=0, hidden_size=3),
    "hidden_size": dict(input_size=3, hidden_size=0),
    "num_inner": dict(input_size=3, hidden_size=3, num_inner=0),
    "write": dict(input_size=3, hidden_size=3, write="oja"),
    "decay": dict(input_size=3, hidden_size=3, decay=1.5),
    "rate": dict(input_size=3, hidden_size=3, rate=-1.0),
}


@pytest.mark.parametrize("named", BAD_CELLS)
def test_bad_cells_are_named(named, getkey):
    with pytest.raises(ValueError, match=named):
        FastWeightsCell(**BAD_CELLS[named], key=getkey())


def test_bad_networks_and_inputs_are_named(getkey):
    cell = FastWeightsCell(I, H, key=getkey())
    for named, options in {"form": {"form": "tape"}, "output_size": {"output_size": 0}}.items():
        with pytest.raises(ValueError, match=named):
            FastWeightsRNN(cell, **({"output_size": O} | options), key=getkey())
    with pytest.raises(ValueError, match="attention"):
        network("attention", write="storkey")
    for model in (network(), LSTMRNN(I, H, O, key=getkey())):
        for bad in (jnp.ones((T, I + 1)), jnp.ones((0, I)), jnp.ones(I), jnp.full((T, I), jnp.nan)):
            with pytest.raises(ValueError, match="inputs"):
                model(bad)
