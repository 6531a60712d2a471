"""What users do with the library, each job in a line or two, for tests that run all of it under a switch of
JAX.

A job makes its arguments when called, and answers with a function and what to call it with; under
`jax.transfer_guard` the arguments are then on the device already.
"""

import functools
import pathlib
import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import right_calls
import zoo

import energyam as eam
from energyam import datasets, evaluation, ising, learning, nn, plotting, theory

K, D, B = 3, 6, 2
S = eam.synapses
RATE = functools.partial(jnp.multiply, 0.5)


def key(seed=0):
    return jr.key(seed)


def signs(K=K, D=D):
    return zoo.patterns(3, K, D)


def bits(K=K, D=D):
    return (signs(K, D) + 1) // 2


def normal(seed, *shape):
    return 0.4 * jr.normal(jr.key(seed), shape)


def units(count=B, num=D // 3):
    return jax.nn.one_hot(jr.randint(jr.key(5), (count, num), 0, 3), 3).reshape(count, -1)


def kept(function, *args, **options):
    """A job: the function with its options, and its arguments."""
    return functools.partial(function, **options), args


def recall(memory, query, *args, **options):
    result = eam.recall(memory, query, *args, **options)
    return result.state, result.energies, result.status, result.num_steps


def frames(memory, query, *args, **options):
    return eam.recall(memory, query, *args, **options).frames()


def sample(memory, start, *args, **options):
    samples = eam.sample(memory, start, *args, **options)
    return samples.states, samples.energies


def of_memory(make, query):
    """Recall, energy and field of a memory of the zoo, and its minima where single neurons move."""

    def all_of(memory, states, one, key):
        own = type(memory).__module__ == "zoo"  # an energy of a user's, run line by line, sends its numbers
        energy = eqx.filter_jit(memory.energy) if own else memory.energy
        found = [recall(memory, states, key=key), energy(one)]
        if callable(getattr(memory, "field", None)):
            found.append(memory.field(one))
        if getattr(memory.neurons, "values", None) is not None:
            found.append(eam.is_local_minimum(memory, states))
        return found

    return kept(all_of, make(signs()), query(), query()[0], key())


# The zoo: every memory under its own neurons, with two queries.
ZOO = {
    f"{kind}/{name}": functools.partial(of_memory, make, query)
    for kind, table, query in (
        ("binary", zoo.BINARY | zoo.OWN_BINARY, lambda: signs()[:B]),
        ("zero_one", zoo.ZERO_ONE, lambda: bits()[:B]),
        ("continuous", zoo.CONTINUOUS, lambda: signs()[:B].astype(float) / D**0.5),
    )
    for name, make in table.items()
}


def of_units(make):
    shape = getattr(make(signs()), "state_shape", (D,))
    return kept(recall, make(signs()), units().reshape(B, *shape), key=key())


ZOO |= {f"potts/{name}": functools.partial(of_units, make) for name, make in zoo.POTTS.items()}


def modern():
    return eam.ModernHopfield(normal(1, K, D), 1.5)


def layered():
    neurons = {"seen": eam.Tanh(1.0, shape=(4,)), "hidden": eam.Softmax(1.0, shape=(3,))}
    memory = eam.HierarchicalMemory(
        neurons, [(S.Dense(normal(0, 4, 3)), ("seen", "hidden")), (S.Bias(normal(1, 4)), ("seen",))]
    )
    return memory, {"seen": jnp.tanh(normal(2, B, 4)), "hidden": jax.nn.softmax(normal(3, B, 3))}


def convolved():
    neurons = {"picture": eam.Continuous(shape=(1, 4, 4)), "features": eam.Rectified(shape=(2, 4, 4))}
    memory = eam.HierarchicalMemory(
        neurons, [(S.Convolution(normal(0, 2, 1, 3, 3) / 3), ("picture", "features"))]
    )
    return memory, {"picture": normal(1, B, 1, 4, 4), "features": jnp.zeros((B, 2, 4, 4))}


def boltzmann():
    layers = {"x": eam.Binary(shape=(4,)), "s": eam.Binary(shape=(3,))}
    memory = eam.HierarchicalMemory(layers, [(S.Dense(normal(0, 4, 3)), ("x", "s"))])
    return memory, {"x": jnp.sign(normal(1, B, 4)), "s": jnp.sign(normal(2, B, 3))}


def three_layers():
    memory = zoo.Layered(normal(0, 10, 10), (3, 1, 2))
    state = {"signs": jnp.ones((B, 3)), "bits": jnp.ones((B, 1)), "units": units(B, 2).reshape(B, 2, 3)}
    return memory, state


RECALL = {
    "clamped": lambda: kept(recall, eam.CHN(signs()), signs()[:B], key=key(), clamp=jnp.arange(D) < 2),
    "clamped_each": lambda: kept(recall, eam.CHN(signs()), signs()[:B], key=key(), clamp=signs()[:B] > 0),
    "settles_at_once": lambda: kept(recall, eam.CHN(signs()[:1]), signs()[:1], key=key()),
    "sequential": lambda: kept(recall, eam.CHN(signs()), signs()[0], eam.Asynchronous("sequential")),
    "uniform": lambda: kept(recall, eam.CHN(signs()), signs()[0], eam.Asynchronous("uniform"), key=key()),
    "no_record": lambda: kept(recall, eam.CHN(signs()), signs()[:B], key=key(), record=False),
    "with_a_bar": lambda: kept(recall, eam.CHN(signs()), signs()[:B], key=key(), progress=True),
    "stop": lambda: kept(
        recall, eam.CHN(signs()), signs()[:B], key=key(), stop=lambda state, energy: energy < 0
    ),
    "jitted": lambda: kept(jax.jit(recall), eam.CHN(signs()), signs()[:B], key=key()),
    "synchronous_binary": lambda: kept(recall, eam.CHN(signs()), signs()[:B], eam.Synchronous()),
    "synchronous": lambda: kept(recall, modern(), normal(0, B, D), eam.Synchronous()),
    "gradient": lambda: kept(recall, modern(), normal(0, B, D), eam.GradientDescent(0.1), 3),
    "line_search": lambda: kept(recall, modern(), normal(0, B, D), eam.LineSearch(), 3),
    "relaxation": lambda: kept(recall, modern(), normal(0, B, D), eam.Relaxation(0.5), 3),
    "layers": lambda: kept(recall, *layered(), max_steps=3),
    "layers_relaxed": lambda: kept(recall, *layered(), eam.Relaxation(0.5), 3),
    "layers_clamped": lambda: kept(recall, *layered(), max_steps=3, clamp={"seen": True}),
    "convolution": lambda: kept(recall, *convolved(), max_steps=2),
    "three_layers": lambda: kept(recall, *three_layers(), key=key()),
    "sequence": lambda: kept(
        recall,
        eam.SequenceNetwork(eam.sequence_weights(signs(), jnp.eye(K), 2.0)),
        signs()[:B],
        eam.Synchronous(),
        3,
    ),
    "delayed": lambda: kept(
        recall,
        eam.SequenceNetwork(eam.hebbian(signs()), normal(0, D, D), 2),
        jnp.tile(signs()[:B], 3),
        eam.Synchronous(),
        3,
    ),
    "dense_sequence": lambda: kept(
        recall,
        eam.DenseSequence(signs(), eam.LogSumExp(1.0), stay=0.3, delay=1),
        jnp.tile(signs()[:B], 2),
        eam.Synchronous(),
        3,
    ),
    "sequence_asynchronous": lambda: kept(
        recall, eam.SequenceNetwork(eam.hebbian(signs())), signs()[:B], eam.Asynchronous(), key=key()
    ),
    "neuron_sdm": lambda: kept(recall, _written(), signs()[:B]),
    "continuous_sdm": lambda: kept(
        recall, eam.ContinuousSDM(_unit(normal(0, K, D)), 2), _unit(normal(1, B, D)), max_steps=2
    ),
    "continuous_sdm_by_circles": lambda: kept(
        recall, eam.ContinuousSDM(_unit(normal(0, K, D)), 2, "circle"), _unit(normal(1, B, D)), max_steps=2
    ),
    "distributed": lambda: kept(recall, _distributed(), normal(1, B, D), eam.GradientDescent(0.05), 3),
    "scaffold": lambda: kept(recall, _scaffold(), signs()[:B], eam.Synchronous()),
    "sparse_network": lambda: kept(recall, _sparse(), signs()[:B], key=key()),
    "inputs": lambda: kept(recall, eam.CHN(signs()), signs()[:B], None, 3, key=key(), inputs=normal(0, 3, D)),
    "inputs_each": lambda: kept(
        recall, modern(), normal(0, B, D), eam.Synchronous(), 3, inputs=normal(2, 3, B, D)
    ),
    "inputs_layers": lambda: kept(recall, *layered(), None, 3, inputs={"seen": normal(4, 3, B, 4)}),
    "inputs_relaxed": lambda: kept(
        recall, modern(), normal(0, B, D), eam.Relaxation(0.5), 3, inputs=normal(2, 3, D)
    ),
    "unknown_signs": lambda: kept(recall, eam.CHN(signs()), half_known(), key=key()),
    "unknown_signs_held": lambda: kept(recall, eam.CHN(signs()), half_known(), key=key(), clamp="known"),
    "unknown_masked": lambda: kept(
        recall, modern(), np.ma.masked_less(np.tile(np.arange(D) / (D - 1), (B, 1)), 0.3), clamp="known"
    ),
    "unknown_numbers": lambda: kept(
        recall,
        modern(),
        jax.device_put(np.where(np.arange(D) == 1, np.nan, normal(0, B, D))),
        clamp=jnp.arange(D) > 2,
    ),
    "unknown_bits": lambda: kept(
        recall,
        zoo.ZERO_ONE["hopfield"](signs()),
        np.ma.masked_greater(np.tile(np.arange(D), (B, 1)), 1),
        key=key(),
    ),
    "unknown_jitted": lambda: kept(
        jax.jit(lambda m, q, key: recall(m, q, key=key, clamp="known")), eam.CHN(signs()), half_known(), key()
    ),
    "gradient_through": lambda: kept(
        jax.jit(jax.grad(lambda m, q: eam.recall(m, q, eam.Synchronous(), 2).state.sum())),
        modern(),
        normal(0, B, D),
    ),
}


def half_known():
    return signs()[:B].at[:, 1:3].set(0)


def _scaffold():
    return eam.Scaffold(signs(), (3, 4), 9, key=key())


def _sparse():
    return eam.SparseNetwork(
        np.array([[0, 1], [1, 2], [2, 5]]), np.array([1.0, -0.5, 2.0]), 0.1 * np.arange(D)
    )


def _unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def _written():
    return eam.NeuronSDM.random(40, D, 2, key=key()).write(signs())


def _distributed():
    return eam.DistributedDenseAM.random(D, 64, 0.5, key=key()).write(normal(0, K, D))


SAMPLE = {
    "heat_bath": lambda: kept(
        sample, eam.CHN(signs()), signs()[:B], eam.HeatBath(2.0), 3, key=key(), every=2, discard=1
    ),
    "schedule": lambda: kept(
        recall,
        eam.CHN(signs()),
        signs()[:B],
        eam.HeatBath(lambda i: 2.0 / (1 + jnp.asarray(i, float))),
        3,
        key=key(),
    ),
    "metropolis": lambda: kept(sample, eam.CHN(signs()), signs()[:B], eam.Metropolis(2.0), 3, key=key()),
    "bar": lambda: kept(
        sample, eam.CHN(signs()), signs()[:B], eam.HeatBath(2.0), 3, key=key(), progress=True
    ),
    "block_gibbs": lambda: kept(
        sample, eam.CHN(signs()), signs()[:B].astype(float), eam.BlockGibbs(2.0), 3, key=key()
    ),
    "block_gibbs_modern": lambda: kept(
        sample, modern(), normal(0, B, D), eam.BlockGibbs(1 / 1.5), 3, key=key()
    ),
    "langevin": lambda: kept(sample, modern(), normal(0, B, D), eam.Langevin(0.01), 3, key=key()),
    "discrete_langevin": lambda: kept(
        sample, eam.CHN(signs()), signs()[:B], eam.DiscreteLangevin(0.2, 2.0), 3, key=key()
    ),
    "by_colours": lambda: kept(
        sample, zoo.OWN_BINARY["sparse"](signs()), signs()[:B], eam.HeatBath(1.0), 2, key=key()
    ),
    "tempering": lambda: kept(
        sample, eam.CHN(signs()), signs()[:B], eam.Tempering([1.0, 3.0], eam.HeatBath(1.0)), 3, key=key()
    ),
    "units": lambda: kept(
        sample, zoo.POTTS["potts_hopfield"](signs()), units(), eam.HeatBath(1.0), 2, key=key()
    ),
    "layers": lambda: kept(sample, *boltzmann(), eam.HeatBath(1.0), 2, key=key(), clamp={"x": True}),
}

READ = {
    "key_value": lambda: kept(
        eam.KeyValueMemory(normal(0, K, D), normal(1, K, 2), eam.LogSumExp(1.0)), normal(2, D)
    ),
    "padded": lambda: kept(
        eam.KeyValueMemory(normal(0, K, D), normal(1, K, 2), eam.TopK(eam.LogSumExp(1.0), 2), capacity=8),
        normal(2, D),
    ),
    "neuron_sdm": lambda: kept(lambda memory, x: memory.read(x), _written(), signs()[0]),
    "energy": lambda: kept(lambda memory, x: memory.energy(x), _distributed(), normal(0, D)),
    "nearest": lambda: kept(eam.nearest, eam.CHN(signs()), signs()[:B], 2),
    "nearest_pairs": lambda: kept(
        eam.nearest,
        eam.KeyValueMemory(normal(0, K, D), normal(1, K, 2), eam.Quadratic(), capacity=8),
        normal(2, B, D),
        2,
    ),
    "nearest_product": lambda: kept(eam.nearest, zoo.BINARY["product"](signs()), signs()[:B], 2),
    "nearest_approximate": lambda: kept(
        functools.partial(eam.nearest, approximate=True), zoo.CONTINUOUS["gaussian"](signs()), signs()[:B], 2
    ),
    "on_disk": lambda: kept(eam.nearest, eam.CHN(_stored()), signs()[:B], 2),
    "on_disk_read": lambda: kept(
        eam.KeyValueMemory(_stored(), _stored(), eam.TopK(eam.LogSumExp(1.0), 2)), normal(2, D)
    ),
    "store": lambda: kept(eam.nearest, _store(), signs()[:B], 2),
}


def _stored():
    path = pathlib.Path(tempfile.mkdtemp(dir=".")) / "patterns.npy"
    np.save(path, np.asarray(signs(), np.float32))
    return eam.OnDisk(np.load(path, mmap_mode="r"))


def _store():
    store = eam.Store(tempfile.mkdtemp(dir="."))
    store.append(np.asarray(signs(), np.float32))
    return store


WRITE = {
    "key_value_more": lambda: kept(
        lambda m, k, v, q: m.with_pairs(k, v)(q),
        eam.KeyValueMemory(normal(0, K, D), normal(1, K, 2), eam.Quadratic()),
        normal(3, 1, D),
        normal(4, 1, 2),
        normal(2, D),
    ),
    "online": lambda: kept(
        lambda m, k, v: m.write(k, v)(k), eam.OnlineAssociator(D, 2), normal(0, D), normal(1, 2)
    ),
    "neuron_sdm": lambda: kept(
        lambda m, x: (m.read(x), m.write(x).counters, m.active(x)), _written(), signs()[0]
    ),
    "neuron_sdm_selected": lambda: kept(
        lambda m, x: m.write(x).read(x), eam.NeuronSDM.random(40, D, 0, selected=2, key=key()), signs()[0]
    ),
    "distributed": lambda: kept(
        lambda m, x, X: (m.energy(x), m.error(x, X), m.estimate(x), m.forget(X).written),
        _distributed(),
        normal(0, K, D)[0],
        normal(0, K, D),
    ),
    "weights": lambda: kept(
        lambda s: [one.weights(s) for one in zoo.SEPARATIONS.values()], jnp.linspace(-3.0, 3.0, 7)
    ),
    "with_patterns": lambda: kept(
        lambda m, X: (m.with_patterns(X).patterns, m.without([0]).patterns), eam.CHN(signs()), signs()[:1]
    ),
}


def of_step(step):
    return kept(step, eam.hebbian(signs()), signs()[0].astype(float), decay=0.9)


def _network():
    return learning.GradientMemory(eqx.nn.MLP(D, 2, 4, 1, jax.nn.silu, key=key()))


def of_stream(name, chunk):
    memory = _network() if name == "gradient_step" else jnp.zeros((2, D))
    keys, values, queries = normal(0, 5, D), normal(1, 5, 2), normal(2, 5, D)
    step = getattr(learning, name)
    return kept(learning.stream, memory, keys, values, queries, step, rate=0.1, chunk=chunk)


LEARN = {
    "hebbian": lambda: kept(eam.hebbian, signs()),
    "pseudo_inverse": lambda: kept(eam.pseudo_inverse, signs()),
    "storkey": lambda: kept(eam.storkey, signs()),
    "sequence_weights": lambda: kept(eam.sequence_weights, signs(), jnp.eye(K), 2.0),
    "transition_weights": lambda: kept(learning.transition_weights, signs(), jnp.eye(K)),
    "correlation": lambda: kept(eam.correlation_matrix_memory, normal(0, K, D), normal(1, K, 2)),
    "linear": lambda: kept(eam.optimal_linear_associator, normal(0, K, D), normal(1, K, 2)),
    "ridge": lambda: kept(eam.optimal_linear_associator, normal(0, K, D), normal(1, K, 2), 0.1),
    "store": lambda: kept(learning.store, jnp.zeros((D, D)), signs().astype(float)),
    "forget": lambda: kept(learning.forget, eam.hebbian(signs()), signs()[0].astype(float)),
    **{
        step.__name__: functools.partial(of_step, step)
        for step in (learning.hebbian_step, learning.delta_step, learning.oja_step, learning.storkey_step)
    },
    "gradient_step": lambda: kept(
        learning.gradient_step, _network(), normal(0, D), normal(1, 2), rate=0.1, decay=0.9, momentum=0.5
    ),
    "write": lambda: kept(
        learning.write,
        jnp.zeros((2, D)),
        normal(0, 4, D),
        normal(1, 4, 2),
        step=learning.delta_step,
        rate=normal(2, 4) ** 2,
    ),
    **{
        f"stream_{name}{chunk or ''}": functools.partial(of_stream, name, chunk)
        for name in ("hebbian_step", "delta_step", "oja_step", "gradient_step")
        for chunk in (None, 2)
    },
}

EVALUATE = {
    "frames": lambda: kept(frames, eam.CHN(signs()), signs()[:B], key=key()),
    "success_curve": lambda: kept(
        evaluation.success_curve,
        eam.CHN,
        lambda key, K: datasets.random_patterns(K, D, key=key),
        (2,),
        (0.1,),
        2,
        key=key(),
    ),
    "nearest": lambda: kept(evaluation.nearest_pattern, signs(), signs()[1]),
    "cosines": lambda: kept(evaluation.cosines, signs(), signs()[1]),
    "outcome": lambda: kept(evaluation.outcome, signs(), signs()[1], 0),
    "retrieved": lambda: kept(evaluation.retrieved, modern(), normal(0, D)),
    "log_partition": lambda: kept(evaluation.log_partition, eam.CHN(signs()), 2.0),
    "expectation": lambda: kept(evaluation.expectation, eam.CHN(signs()), lambda x: x, 2.0),
    "sample_exactly": lambda: kept(
        evaluation.sample_exactly, eam.ExponentialDenseAM(signs(), 0.7), 3, 1.0, key=key()
    ),
    "log_energies": lambda: kept(evaluation.log_energies, jnp.array([-2.0, -3.0])),
    "split_rhat": lambda: kept(evaluation.split_rhat, normal(0, 2, 8)),
    "effective_sample_size": lambda: kept(evaluation.effective_sample_size, normal(0, 2, 8)),
}

ISING = {
    "minimize": lambda: kept(ising.minimize, ising.sherrington_kirkpatrick(D, key=key()), 2, 3, key=key()),
    "bifurcation": lambda: kept(
        recall,
        ising.sherrington_kirkpatrick(D, key=key()),
        signs()[:B],
        ising.SimulatedBifurcation(4),
        4,
        key=key(),
    ),
    "planted": lambda: kept(lambda key: ising.planted(D, 2, key=key).energy, key()),
    "max_cut": lambda: kept(ising.max_cut, jnp.ones((4, 4)) - jnp.eye(4)),
    "cut_value": lambda: kept(ising.cut_value, jnp.ones((4, 4)) - jnp.eye(4), jnp.array([1.0, 1, -1, -1])),
    "qubo": lambda: kept(lambda Q: ising.from_qubo(Q).memory, normal(0, 4, 4)),
}


def attention(**options):
    return nn.HopfieldAttention(4, key=key(), **options)


def fast_weights(form="matrix", write="hebb"):
    return nn.FastWeightsRNN(nn.FastWeightsCell(4, 5, key=key(), write=write), 2, 3, form, key=key(1))


def fast_weight_layer(rule, gated, chunk):
    return nn.FastWeightLayer(4, num_heads=2, rule=rule, gated=gated, chunk=chunk, key=key())


def of_fast_weight_layer(rule, gated, chunk):
    return kept(value_and_grad(_squares), fast_weight_layer(rule, gated, chunk), normal(0, 5, 4))


def transformer(**options):
    return nn.EnergyTransformer(
        4, 4, 5, num_heads=2, head_size=2, num_patterns=3, num_steps=2, key=key(), **options
    )


def value_and_grad(loss):
    def of(model, *args, **options):
        return eqx.filter_value_and_grad(lambda model: loss(model, *args, **options))(model)

    return eqx.filter_jit(of)


def _squares(model, *args):
    return jnp.sum(model(*args) ** 2)


def few_shot(read):
    embed = eqx.nn.Sequential([eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(28 * 28, 4, key=key())])
    labels = jnp.array([0, 1])
    return kept(
        nn.FewShotClassifier(embed, read), normal(0, 2, 28, 28), labels, normal(1, 1, 28, 28), num_classes=2
    )


def train(model, optimizer, loss):
    return nn.train(model, optimizer, loss, 2, progress=False, key=key()).losses


LAYERS = {
    "attention": lambda: kept(attention(), normal(0, 2, 4), normal(1, 3, 4)),
    "attention_options": lambda: kept(
        attention(normalize=True, num_heads=2, learn_beta=True, num_steps=3, tol=1e-3),
        normal(0, 2, 4),
        normal(1, 3, 4),
        mask=jnp.array([True, True, False]),
    ),
    "attention_entmax": lambda: kept(
        attention(separation=eam.Entmax(1.0, 1.5)), normal(0, 2, 4), normal(1, 3, 4)
    ),
    "attention_gradient": lambda: kept(
        value_and_grad(_squares), attention(learn_beta=True), normal(0, 2, 4), normal(1, 3, 4)
    ),
    "associate": lambda: kept(attention().associate, normal(0, 2, 4), normal(1, 3, 4)),
    "attention_16": lambda: kept(
        attention(), normal(0, 2, 4).astype(jnp.bfloat16), normal(1, 3, 4).astype(jnp.bfloat16)
    ),
    "pooling": lambda: kept(nn.HopfieldPooling(attention(), 2, key=key(1)), normal(1, 3, 4)),
    "pooling_gradient": lambda: kept(
        value_and_grad(_squares), nn.HopfieldPooling(attention(), 2, key=key(1)), normal(1, 3, 4)
    ),
    "lookup": lambda: kept(nn.HopfieldLookup(attention(), 3, key=key(1)), normal(1, 2, 4)),
    "fast_weights": lambda: kept(value_and_grad(_squares), fast_weights(), normal(0, 3, 4)),
    "fast_weights_attention": lambda: kept(fast_weights("attention"), normal(0, 3, 4)),
    "fast_weights_storkey": lambda: kept(fast_weights("matrix", "storkey"), normal(0, 3, 4)),
    **{
        f"fast_weight_layer_{rule}{'_gated' * gated}{chunk or ''}": functools.partial(
            of_fast_weight_layer, rule, gated, chunk
        )
        for rule in ("hebb", "delta", "oja", "network")
        for gated, chunk in ((False, None), (True, 2))
    },
    "fast_weight_layer_step": lambda: kept(
        lambda layer, x: layer.step(layer.start(), x), fast_weight_layer("network", True, None), normal(0, 4)
    ),
    "fast_weight_layer_mask": lambda: kept(
        fast_weight_layer("delta", True, 2), normal(0, 5, 4), jnp.arange(5) % 3 != 1
    ),
    "lstm": lambda: kept(nn.LSTMRNN(4, 5, 2, 3, key=key()), normal(0, 3, 4)),
    "transformer": lambda: kept(transformer(), normal(0, 4, 4), jnp.arange(4) < 2),
    "transformer_energies": lambda: kept(transformer().descend, normal(0, 4, 5)),
    "masked": lambda: kept(
        lambda model, loss, key: loss(model, key),
        transformer(),
        nn.MaskedCompletion(normal(0, 3, 4, 4), 2),
        key(),
    ),
    "projected": lambda: kept(
        nn.ProjectedMemory(D, eam.LogSumExp(1.0), 4, True, key=key()), normal(0, D), normal(1, K, D)
    ),
    "reconstruction": lambda: kept(
        lambda loss, model, key: loss(model, key),
        nn.ReconstructionLoss(_unit(normal(1, K, D)), 2),
        nn.ProjectedMemory(D, eam.LogSumExp(1.0), 4, True, key=key()),
        key(),
    ),
    "dot_read": lambda: few_shot(nn.DotRead()),
    "cosine_read": lambda: few_shot(nn.CosineRead()),
    "attractor_read": lambda: few_shot(nn.AttractorRead(4)),
    "attractor_hopfield": lambda: few_shot(nn.AttractorRead(4, "hopfield")),
    "prototype_read": lambda: few_shot(nn.PrototypeRead()),
    "settled_read": lambda: few_shot(nn.SettledRead(nn.PrototypeRead())),
    "nearest_read": lambda: few_shot(nn.NearestRead()),
    "embedding": lambda: kept(nn.ConvEmbedding(4, key=key()), normal(0, 28, 28)),
    "episodes": lambda: kept(
        lambda loss, key: loss(nn.FewShotClassifier(_flat(), nn.CosineRead()), key),
        nn.EpisodeLoss(np.ones((4, 3, 28, 28), np.float32), num_ways=2, num_episodes=2),
        key(),
    ),
    "train": lambda: kept(
        train,
        modern(),
        optax.adam(1e-2),
        lambda model, key: nn.denoising_score_matching(model, normal(0, B, D), 0.3, key=key),
    ),
    "train_by_lbfgs": lambda: kept(
        train, modern(), optax.lbfgs(), lambda model, key: model.energy(normal(0, D)) ** 2
    ),
}


def _flat():
    return eqx.nn.Sequential([eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(28 * 28, 4, key=key())])


def _half_square(state, target):
    return sum(
        0.5 * jnp.sum((a - b) ** 2)
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(target), strict=True)
    )


LOSSES = {
    "pseudo_likelihood": lambda: kept(
        value_and_grad(nn.pseudo_likelihood), eam.ExponentialDenseAM(signs(), 0.5), signs()
    ),
    "pseudo_likelihood_couplings": lambda: kept(
        value_and_grad(nn.pseudo_likelihood), eam.HopfieldNetwork(eam.hebbian(signs())), signs()
    ),
    "probability_flow": lambda: kept(
        value_and_grad(nn.probability_flow), eam.HopfieldNetwork(eam.hebbian(signs())), signs()
    ),
    "score_matching": lambda: kept(
        value_and_grad(nn.denoising_score_matching), modern(), normal(0, B, D), 0.3, key=key()
    ),
    "contrastive_divergence": lambda: kept(
        value_and_grad(lambda m, x, key: nn.contrastive_divergence(m, x, eam.HeatBath(1.0), 1, key=key)[0]),
        eam.HopfieldNetwork(eam.hebbian(signs())),
        signs(),
        key(),
    ),
    "contrastive_hebbian": lambda: kept(
        value_and_grad(nn.contrastive_hebbian),
        *layered(),
        max_steps=3,
        inputs={"seen": True},
        outputs={"hidden": True},
    ),
    "predictive_coding": lambda: kept(
        value_and_grad(nn.predictive_coding), *layered(), max_steps=3, clamp={"seen": True}
    ),
    "equilibrium": lambda: kept(
        value_and_grad(nn.equilibrium_propagation),
        *layered(),
        layered()[1],
        cost=_half_square,
        max_steps=3,
        clamp={"seen": True},
    ),
    "at_rest": lambda: kept(
        jax.grad(lambda m, x: nn.recall_at_rest(m, x, max_steps=20).sum()), modern(), normal(0, D)
    ),
}

PICTURES = {
    "show_patterns": lambda: kept(plotting.show_patterns, signs(2, 4), shape=(2, 2)),
    "show_recall": lambda: kept(
        plotting.show_recall, eam.recall(eam.CHN(signs(2, 4)), signs(2, 4), key=key()), shape=(2, 2)
    ),
    "animate": lambda: kept(
        plotting.animate, eam.recall(eam.CHN(signs(2, 4)), signs(2, 4), key=key()), shape=(2, 2)
    ),
    "landscape": lambda: kept(
        plotting.show_landscape, eam.ModernHopfield(normal(0, 3, 2), 2.0), resolution=8
    ),
    "animate_landscape": lambda: kept(
        plotting.animate_landscape, eam.ModernHopfield(normal(0, 3, 2), 2.0), normal(1, 4, 2), resolution=8
    ),
    "chains": lambda: kept(
        lambda *args: plotting.chains(eam.sample(*args, eam.HeatBath(2.0), 8, key=key())),
        eam.CHN(signs()),
        signs()[:B],
    ),
}

OTHERS = {
    "scaffold_place": lambda: kept(lambda m, x: m.at(m.place(x)), _scaffold(), signs()[0]),
    "random_patterns": lambda: kept(lambda key: datasets.random_patterns(K, D, key=key), key()),
    "flip_bits": lambda: kept(datasets.flip_bits, signs(), 0.2, key=key()),
    "suggest_beta": lambda: kept(theory.suggest_beta, signs()),
    "fit_beta": lambda: kept(theory.fit_beta, 100, 20),
    "associative_retrieval": lambda: kept(lambda key: datasets.associative_retrieval(2, key=key), key()),
    "strokes": lambda: kept(lambda key: datasets.stroke_characters(2, 1, key=key), key()),
    "gain": lambda: kept(
        lambda s, d: [one.gain(s, d, 2) for one in zoo.SEPARATIONS.values() if one.gain(s, d, 2) is not None],
        jnp.array([2.0, 0.0, -2.0, 4.0]),
        jnp.array([1, -1, 1, 1]),
    ),
}


def of_call(name, called):
    given = right_calls.right_call(name, called)
    given |= {name: key() for name, value in given.items() if value is right_calls.KEY}  # of the kind now
    return lambda: called(**given) if name != "lm.stream" else list(called(**given)), ()


# Every public name with its right arguments, so that a new one needs no line here.
CALLS = {
    name: functools.partial(of_call, name, called)
    for name, called in right_calls.calls()
    if right_calls.ONE_CALL.get(name, {}) is not None
}
KINDS = ("binary", "zero_one", "continuous", "potts")
JOBS = ZOO | {
    f"{kind}/{name}": job
    for kind, table in {
        "recall": RECALL,
        "sample": SAMPLE,
        "read": READ,
        "write": WRITE,
        "learn": LEARN,
        "evaluate": EVALUATE,
        "ising": ISING,
        "layers": LAYERS,
        "losses": LOSSES,
        "pictures": PICTURES,
        "others": OTHERS,
        "calls": CALLS,
    }.items()
    for name, job in table.items()
}
