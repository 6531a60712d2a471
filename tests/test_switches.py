"""Every job of `jobs.py` under JAX's own switches: what people turn on to debug their own code.

A plain run takes a few jobs for each switch, drawn by ENERGYAM_SEED, and a full one (ENERGYAM_FULL=1) all.
"""

import os
import random

import equinox as eqx
import jax
import jax.numpy as jnp
import jobs
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest
import right_calls
from optax.contrib import reduce_on_plateau

import energyam as eam
from energyam import nn

FULL = os.environ.get("ENERGYAM_FULL") == "1"
SEED = os.environ.get("ENERGYAM_SEED", "0")
JOBS = jobs.JOBS
# Whose infinities are meant: energies out of reach, maxima of nothing yet, a loss not yet known, and log 0.
INFINITE = ("compact", "epanechnikov", "embedding", "lbfgs", "others/gain")


def part(switch, names, count):
    """`count` of the names, others for each switch and seed; all of them in a full run."""
    names = list(names)
    return names if FULL else random.Random(switch + SEED).sample(names, min(count, len(names)))


def run(name):
    function, arguments = JOBS[name]()
    return jax.block_until_ready(arrays(function(*arguments)))


def arrays(answer):
    return [leaf for leaf in jax.tree.leaves(answer) if isinstance(leaf, jax.Array)]


@pytest.fixture(autouse=True)
def _closed(tmp_path, monkeypatch, request):
    """Jobs write where they stand, and draw; right arguments are as users give them, so not yet arrays."""
    monkeypatch.chdir(tmp_path)
    if "calls/" in request.node.name:
        request.getfixturevalue("no_hook")
    if "calls/datasets" in request.node.name:
        request.getfixturevalue("fetched")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def count():
    return iter(range(10**6))


@pytest.fixture(autouse=True)
def _few_programs(count):
    """A process maps each program into its memory, and 3,000 jobs would pass what it may map."""
    yield
    if next(count) % 100 == 99:
        jax.clear_caches()


@pytest.mark.parametrize("name", part("strict", JOBS, 30))
def test_strict_promotion_and_neither_nan_nor_infinity(name):
    finite = not any(word in name for word in INFINITE)
    with jax.numpy_dtype_promotion("strict"), jax.debug_nans(True), jax.debug_infs(finite):
        run(name)


@pytest.mark.parametrize("name", part("x64", JOBS, 10))
def test_double_precision_keys_of_another_kind_and_no_leaks(name, x64):
    with jax.default_prng_impl("rbg"), jax.checking_leaks():
        run(name)


# The first one settles before its steps are over. Each operation is compiled alone, which takes seconds.
UNCOMPILED = ["recall/settles_at_once", *part("uncompiled", JOBS, 1)]


@pytest.mark.parametrize("name", dict.fromkeys(UNCOMPILED))
def test_nothing_compiled(name):
    with jax.disable_jit():
        run(name)


EAGER = [name for name in JOBS if name.split("/")[0] in (*jobs.KINDS, "recall", "sample", "read")]
EAGER += ["others/scaffold_place"]


@pytest.mark.parametrize("name", part("transfers", EAGER, 8))
def test_a_second_call_sends_nothing_from_the_host(name):
    function, arguments = JOBS[name]()
    jax.block_until_ready(arrays(function(*arguments)))
    with jax.transfer_guard_host_to_device("disallow"):
        jax.block_until_ready(arrays(function(*arguments)))


def test_the_guard_sees_what_is_sent():
    with jax.transfer_guard_host_to_device("disallow"), pytest.raises(Exception, match="Disallowed"):
        jax.block_until_ready(jnp.sin(np.ones(3, np.float32)))


def leaves_of(job):
    function, arguments = job()
    owner = getattr(function, "func", function)
    return jax.tree.leaves((owner, getattr(owner, "__self__", None), arguments))


@pytest.mark.parametrize("name", [name for name in JOBS if not name.startswith(("pictures", "calls"))])
def test_all_leaves_are_of_a_dtype_of_their_own(name):
    """Else a step of an optimizer, or a file, makes others of them, and what they enter is compiled anew."""
    assert not any(getattr(leaf, "weak_type", False) for leaf in leaves_of(JOBS[name]))


def modules():
    """Every public class of modules from its right arguments, and once more with each of its flags turned."""
    for name, called in right_calls.calls():
        if not (isinstance(called, type) and issubclass(called, eqx.Module)):
            continue
        if right_calls.ONE_CALL.get(name, {}) is None:
            continue
        yield name, (name, called, {})
        for flag, _, default in right_calls.parameters(called):
            if isinstance(default, bool):
                yield f"{name}-{flag}", (name, called, {flag: not default})


MODULES = dict(modules())


def made(row):
    name, called, flags = MODULES[row]
    return called(**right_calls.right_call(name, called) | flags)


def types(module):
    """The types of all leaves, as `jax.jit` tells them apart, and what is no array by itself."""
    return jax.tree.map(lambda leaf: str(jax.typeof(leaf)) if eqx.is_array(leaf) else leaf, module)


# What files can't hold: functions, and rows that stay in files of their own.
NOT_SAVED = ("OnDisk", "nn.FewShotClassifier", "nn.Nudged", "synapses.Prediction")


@pytest.mark.parametrize("row", part("types", MODULES, 20))
def test_public_classes_have_types_of_their_own_and_keep_them_in_files(row, no_hook):
    module = made(row)
    assert not any(getattr(leaf, "weak_type", False) for leaf in jax.tree.leaves(module))
    if MODULES[row][0] not in NOT_SAVED:
        eam.save("file", module)
        again = eam.load("file", classes=(type(module),))
        assert jax.tree.structure(again) == jax.tree.structure(module)
        assert jax.tree.leaves(types(again)) == jax.tree.leaves(types(module))


def value(module):
    """A number that depends on all that is learned, and the energy where there is one."""
    leaves = jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))
    squares = sum((jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in leaves), jnp.zeros(()))
    if not isinstance(module, eam.AbstractMemory) or not hasattr(module, "energy"):
        return squares
    state = jax.tree.map(jnp.ones, module.state_shape, is_leaf=lambda shape: isinstance(shape, tuple))
    return squares + module.energy(state)


def train_three_steps(module):
    """Three steps of a user's own, traced once; raises `RuntimeError` where they are traced again."""
    optimizer = optax.adam(1e-2)

    @eqx.filter_jit
    @eqx.debug.assert_max_traces(max_traces=1)
    def step(module, state):
        gradient = eqx.filter_grad(value)(module)
        updates, state = optimizer.update(gradient, state, eqx.filter(module, eqx.is_inexact_array))
        return eqx.apply_updates(module, updates), state

    state = optimizer.init(eqx.filter(module, eqx.is_inexact_array))
    for _ in range(3):
        module, state = step(module, state)
    return module


@pytest.mark.parametrize("row", part("steps", MODULES, 8))
def test_a_users_step_is_traced_once(row, no_hook):
    module = made(row)
    trained = train_three_steps(module)
    assert jax.tree.leaves(types(trained)) == jax.tree.leaves(types(module))


def test_a_step_that_is_traced_twice_is_found():
    weak = eqx.tree_at(beta_of, jobs.modern(), jnp.asarray(1.0))
    assert beta_of(weak).weak_type
    with pytest.raises(RuntimeError, match="traced"):
        train_three_steps(weak)


def beta_of(model):
    return model.separation.beta


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
