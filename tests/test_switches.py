"""Every job of `jobs.py` under JAX's own switches: what people turn on to debug their own code.

A third of the jobs run under strict promotion and a check for NaN, and fewer under the other switches, drawn
by their names; all of them where the environment says ENERGYAM_FULL=1.
"""

import os
import zlib

import equinox as eqx
import jax
import jax.numpy as jnp
import jobs
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest
from optax.contrib import reduce_on_plateau

import energyam as eam
from energyam import nn

FULL = os.environ.get("ENERGYAM_FULL") == "1"
JOBS = jobs.JOBS
# Whose infinities are meant: energies out of reach, and masks.
INFINITE = ("compact", "epanechnikov")


def part(switch, names, share):
    """About one in `share` of the names, others for each switch; all of them in a full run."""
    return [name for name in names if FULL or zlib.crc32(f"{switch}{name}".encode()) % share == 0]


def run(name):
    function, arguments = JOBS[name]()
    return jax.block_until_ready(arrays(function(*arguments)))


def arrays(answer):
    return [leaf for leaf in jax.tree.leaves(answer) if isinstance(leaf, jax.Array)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", part("strict", JOBS, 3))
def test_strict_promotion_and_no_nan(name):
    with jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        run(name)


EAGER = [name for name in JOBS if name.split("/")[0] in (*jobs.KINDS, "recall", "sample", "read")]


@pytest.mark.parametrize("name", part("transfers", EAGER, 6))
def test_a_second_call_sends_nothing_from_the_host(name):
    function, arguments = JOBS[name]()
    jax.block_until_ready(arrays(function(*arguments)))
    with jax.transfer_guard_host_to_device("disallow"):
        jax.block_until_ready(arrays(function(*arguments)))


def test_the_guard_sees_what_is_sent():
    with jax.transfer_guard_host_to_device("disallow"), pytest.raises(Exception, match="Disallowed"):
        jax.block_until_ready(jnp.sin(np.ones(3, np.float32)))


# Loops of Python in the place of compiled ones take long: one job, and three in a full run.
UNCOMPILED = ("recall/settles_at_once", "binary/chn", "potts/potts_hopfield")


@pytest.mark.parametrize("name", UNCOMPILED if FULL else UNCOMPILED[:1])
def test_nothing_compiled(name):
    with jax.disable_jit():
        run(name)


@pytest.mark.parametrize(
    "name", part("infinities", [n for n in JOBS if not any(i in n for i in INFINITE)], 30)
)
def test_no_infinity(name):
    with jax.debug_infs(True):
        run(name)


@pytest.mark.parametrize("name", part("x64", JOBS, 30))
def test_double_precision(name, x64):
    run(name)


@pytest.mark.parametrize("name", part("rbg", JOBS, 30))
def test_keys_of_another_kind(name):
    with jax.default_prng_impl("rbg"):
        run(name)


@pytest.mark.parametrize("name", part("leaks", JOBS, 30))
def test_no_tracer_leaks(name):
    with jax.checking_leaks():
        run(name)


def leaves_of(job):
    function, arguments = job()
    owner = getattr(function, "func", function)
    return jax.tree.leaves((owner, getattr(owner, "__self__", None), arguments))


@pytest.mark.parametrize("name", [name for name in JOBS if not name.startswith("pictures")])
def test_all_leaves_are_of_a_dtype_of_their_own(name):
    """Else a step of an optimizer, or a file, makes others of them, and what they enter is compiled anew."""
    assert not any(getattr(leaf, "weak_type", False) for leaf in leaves_of(JOBS[name]))


def beta_of(model):
    return model.separation.beta


@pytest.mark.parametrize("make", [eam.ModernHopfield, eam.GaussianDenseAM])
def test_a_users_step_is_traced_once(make):
    patterns, queries = jobs.normal(0, 3, 4), jobs.normal(1, 2, 4)
    optimizer, traces = optax.adam(1e-2), []

    @eqx.filter_jit
    def step(memory, state):
        traces.append(1)
        gradient = jax.grad(lambda m: jax.vmap(m.energy)(queries).sum())(memory)
        updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(memory, updates), state

    memory = make(patterns, 1.0)
    state = optimizer.init(memory)
    for _ in range(3):
        memory, state = step(memory, state)
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_separations_and_neurons_answer_in_the_dtype_that_they_meet(dtype):
    x = jnp.linspace(-1, 1, 4, dtype=dtype)
    for separation in (eam.LogSumExp(1.0), eam.LogSumReLU(0.5), eam.Entmax(1.0)):
        assert separation.weights(x).dtype == separation.potential(x).dtype == dtype
    for neurons in (eam.Tanh(1.0), eam.Sigmoid(1.0), eam.Softmax(1.0), eam.LayerNorm()):
        assert neurons.respond(x, x).dtype == neurons.lagrangian(x).dtype == dtype


def test_a_part_of_a_memory_can_be_frozen_by_labels_of_its_shape():
    memory = jobs.modern()
    labels = eqx.tree_at(beta_of, jax.tree.map(lambda _: "learn", memory), "freeze")
    rules = {"learn": optax.sgd(0.1), "freeze": optax.set_to_zero()}
    optimizer = optax.multi_transform(rules, labels)
    gradient = jax.grad(lambda m: m.energy(jobs.normal(0, jobs.D)))(memory)
    updates, _ = optimizer.update(gradient, optimizer.init(memory))
    assert beta_of(gradient) != 0 and beta_of(updates) == 0
    assert (updates.patterns == -0.1 * gradient.patterns).all()


def test_memories_are_callable_only_where_a_call_reads():
    for name, job in jobs.ZOO.items():
        assert not callable(job()[1][0]), name


@pytest.mark.parametrize("name", ["read/key_value", "read/padded", "layers/attention"])
def test_what_is_called_is_frozen_by_a_function_that_gives_its_labels(name):
    """optax calls labels that can be called, so those of the shape of such a memory go in a function."""
    model, _ = JOBS[name]()
    model = eqx.filter(model.func, eqx.is_inexact_array)
    labels = jax.tree_util.tree_map_with_path(
        lambda path, _: "freeze" if jax.tree_util.keystr(path).endswith("beta") else "learn", model
    )
    rules = {"learn": optax.sgd(0.1), "freeze": optax.set_to_zero()}
    optimizer = optax.multi_transform(rules, lambda model: labels)
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, model), optimizer.init(model))
    for label, update in zip(jax.tree.leaves(labels), jax.tree.leaves(updates), strict=True):
        assert (update == (0 if label == "freeze" else jnp.float32(-0.1))).all()
    assert "freeze" in jax.tree.leaves(labels) and callable(labels)


@pytest.mark.parametrize("optimizer", [optax.lbfgs(), optax.chain(optax.sgd(0.1), reduce_on_plateau())])
def test_training_hands_the_value_to_optimizers_that_ask_for_it(optimizer):
    model, target = jnp.zeros(2), jnp.array([1.0, -2.0])
    loss = lambda model, key: jnp.sum((model - target) ** 2)  # noqa: E731
    trained = nn.train(model, optimizer, loss, 200, progress=False, key=jax.random.key(0))
    assert jnp.abs(trained.model - target).max() < 0.1 and trained.losses[-1] < trained.losses[0]


def test_values_of_known_arrays_are_looked_at_inside_jit():
    keys, values = jobs.normal(0, 3, 6), jobs.normal(1, 3, 2)
    found = jax.jit(lambda values: eam.optimal_linear_associator(keys, values))(values)
    np.testing.assert_allclose(found, eam.optimal_linear_associator(keys, values), atol=1e-5)


@pytest.mark.parametrize("n", [3, 30])
def test_exact_signs_of_powers_need_little_beside_the_patterns(n):
    K, D = 10**6, 64
    memory = eam.PolynomialDenseAM(jobs.signs(2, D), n)
    memory = eqx.tree_at(lambda m: m.patterns, memory, jax.ShapeDtypeStruct((K, D), jnp.int8))
    arrays, rest = eqx.partition(memory, lambda leaf: hasattr(leaf, "shape"))
    one = lambda arrays, query, key: recalled(eqx.combine(arrays, rest), query, key)  # noqa: E731
    key = jax.eval_shape(lambda: jax.random.key(0))
    compiled = jax.jit(one).lower(arrays, jax.ShapeDtypeStruct((D,), jnp.int8), key).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 6 * K * D


def recalled(memory, query, key):
    return eam.recall(memory, query, max_steps=2, key=key, record=False).state


@pytest.mark.parametrize("record", [True, False])
def test_a_record_of_many_queries_takes_six_bytes_for_each_neuron_tried(record):
    """An energy and a flip of each; and about as much again while the steps are put in order."""
    B, D, steps = 1000, 100, 20
    memory = eam.CHN(jobs.signs(4, D))

    def recalled(queries, key):
        result = eam.recall(memory, queries, max_steps=steps, key=key, record=record)
        return (result.state, result.energies, result.record) if record else result.state

    key = jax.eval_shape(lambda: jax.random.key(0))
    compiled = jax.jit(recalled).lower(jax.ShapeDtypeStruct((B, D), jnp.int8), key).compile()
    needs, tried = compiled.memory_analysis(), B * D * steps
    assert needs.output_size_in_bytes <= 6 * tried * record + 2 * B * D
    assert needs.temp_size_in_bytes <= 6 * tried * record + 50 * B * D


def test_a_record_takes_two_bytes_for_each_flip_where_they_hold_it():
    narrow = eam.recall(eam.CHN(jobs.signs()), jobs.signs(), key=jax.random.key(0)).record.indices
    assert narrow.dtype == jnp.int16
    patterns = jobs.signs(1, 2**15 + 1)
    call = lambda query: eam.recall(eam.CHN(patterns), query, max_steps=1, key=jax.random.key(0))  # noqa: E731
    assert jax.eval_shape(call, patterns).record.indices.dtype == jnp.int32
