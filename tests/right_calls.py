"""Right arguments of every public name, from which wrong ones are made (`wrong_calls`).

`right_call(name)` takes a value of each parameter that must be given from `ONE_CALL`, of this very call, or
from `BY_NAME`, by the parameter's name. So a new name of the usual parameters needs no line here.
"""

import dataclasses
import functools
import inspect
import math
import pathlib
import tempfile
import types
import typing

import equinox as eqx
import example_files
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from lm_models import FOLDERS, tiny
from PIL import Image

import energyam as eam
from energyam import nn

KEY = jr.key(0)
X = np.array(jr.rademacher(jr.key(1), (3, 8), dtype="int8"))
REAL = X / math.sqrt(8)


@functools.cache
def model():
    return tiny("gpt2")


@functools.cache
def store():
    return eam.lm.remember(model(), np.arange(5), [0])


@functools.cache
def stored():
    """The path of a file that holds a memory store."""
    path = pathlib.Path(tempfile.mkdtemp()) / "store.safetensors"
    store().save(path)
    return path


@functools.cache
def files():
    """A folder of small files of every kind that is read."""
    folder = pathlib.Path(tempfile.mkdtemp())
    example_files.models(folder)
    eam.save(folder / "memory.safetensors", eam.CHN(X))
    np.save(folder / "rows.npy", REAL.astype(np.float32))
    (folder / "pictures").mkdir()
    Image.fromarray(255 * np.eye(8, dtype=np.uint8)).save(folder / "pictures" / "line.png")
    (folder / "triangle.txt").write_text("3 3\n1 2 1\n2 3 1\n1 3 -2\n")
    eam.sharding.save_shards(folder / "shards", eam.sharding.shard_patterns(eam.CHN(X), MESH, "rows"))
    return folder


def tokenizer():
    return eam.lm.load_tokenizer(files() / "tiny_gpt2")


MESH = jax.make_mesh((1,), ("rows",))
MODERN, LSE, SQUARE = eam.ModernHopfield(REAL, 1.0), eam.LogSumExp(1.0), np.ones((8, 8)) - np.eye(8)
IMAGES = np.random.default_rng(0).random((3, 4, 28, 28)).astype(np.float32)
LAYER = eqx.nn.Linear(2, 1, key=KEY)
LAYERS = eam.HierarchicalMemory(
    {"a": eam.Tanh(1.0, (4,)), "b": eam.Tanh(1.0, (3,))}, [(eam.synapses.Dense(np.ones((4, 3))), ("a", "b"))]
)
HALF = {"a": np.full((2, 4), 0.5), "b": np.zeros((2, 3))}
CLAMPED = {"a": True, "b": False}
PROBLEM = eam.ising.from_qubo({("a", "b"): -1.0, ("a", "a"): 0.5})
CONSTRAINED = dict(problem=PROBLEM, labels=["a", "b"], penalty=2.0)


def cost(state, target):
    return jnp.sum((state["b"] - target) ** 2)


# The right value of a parameter that must be given, by its name; a function of none makes it.
BY_NAME = dict(
    patterns=X,
    key=KEY,
    n=10,
    memory=eam.CHN(X),
    radius=2,
    num_neurons=10,
    beta=1.0,
    temperature=1.0,
    rate=0.1,
    weights=SQUARE,
    update=eam.HeatBath(1.0),
    state=X[0],
    query=X[0],
    queries=X,
    states=X,
    start=X[0],
    separation=LSE,
    keys=REAL,
    values=REAL,
    num_patterns=3,
    size=4,
    num_steps=2,
    num_samples=2,
    dim=8,
    step_size=0.1,
    images=IMAGES,
    cosine=0.5,
    k=1,
    transitions=np.roll(np.eye(3), 1, 0),
    strength=0.5,
    noise=0.3,
    neurons=eam.Binary(),
    path="file.safetensors",
    folder="folder",
    bias=np.ones(8),
    prompt=np.arange(5),
    answer=np.arange(3),
    token_ids=np.arange(5),
    tokens=[1, 2],
    model=model,
    lookup=lambda: eam.lm.Lookup.type1(1, 1.0, 0.5, 1.0),
    kernel=np.ones((1, 1, 3)),
    fraction=0.2,
    num_classes=2,
    num_drawers=2,
    length=4,
    function=lambda state: state.sum(),
    vectors=REAL,
    target=0,
    distance=1,
    p=0.1,
    log_p=-2.0,
    Q=SQUARE,
    num_chains=2,
    num_sweeps=2,
    num_columns=4,
    mesh=MESH,
    axis="rows",
    attention=lambda: nn.HopfieldAttention(4),
    stored=REAL,
    energies=np.ones(3),
    alpha=1.5,
    q=3,
    sleep=1.0,
    load=0.5,
    activity=0.1,
    num_active=3,
)

RULE_OF_LAYERS = dict(memory=LAYERS, queries=HALF, clamp=CLAMPED)
# Calls of which a parameter means something else.
ONE_CALL = {
    "DistributedDenseAM.random": {"num_features": 8},
    "NeuronSDM.random": {"num_locations": 4},
    **{
        f"lm.Lookup.type{n}": {"mem_frac": 1.0, "bookkeeping_frac": 0.5, "softmax_scale": 1.0}
        for n in (1, 2, 3)
    },
    "CapIntersection": dict(radius=2),
    "ContinuousSDM": dict(patterns=REAL),
    "DistributedDenseAM": dict(frequencies=np.ones((4, 8)), beta=1.0),
    "HierarchicalMemory": dict(
        neurons={"a": eam.Binary((8,))}, synapses=[(eam.synapses.Bias(np.ones(8)), ("a",))]
    ),
    "NeuronSDM": dict(addresses=X),
    "OnlineAssociator": dict(key_dim=8, value_dim=8),
    "ProductDenseAM": dict(memories=[eam.ExponentialDenseAM(X)] * 2),
    "Tempering": dict(temperatures=[1.0, 2.0]),
    "recall": dict(max_steps=2, key=KEY),
    "load": dict(path=lambda: files() / "memory.safetensors"),
    "datasets.fetch": dict(name="pokesprites_names.txt"),
    "datasets.mnist": dict(train=False),
    "datasets.omniglot": dict(source="images_background_small1.zip"),
    "datasets.load_image": dict(file=lambda: files() / "pictures" / "line.png", shape=(8, 8)),
    "datasets.load_images": dict(folder=lambda: files() / "pictures", shape=(8, 8)),
    "datasets.mask_half": dict(pictures=X.reshape(3, 2, 4)),
    "datasets.retrieval_text": dict(inputs=np.eye(9, 37)),
    "datasets.split_classes": dict(num_train=2),
    "datasets.sample_episode": dict(num_ways=2),
    "evaluation.effective_sample_size": dict(values=np.random.default_rng(0).normal(size=(2, 20))),
    "evaluation.split_rhat": dict(values=np.random.default_rng(0).normal(size=(2, 20))),
    "evaluation.sample_exactly": dict(memory=MODERN),
    "evaluation.success_curve": dict(
        build=eam.CHN, draw=lambda key, K: X[:K], sizes=[1], noise=[0.1], repeats=1, max_steps=2
    ),
    "OnDisk": dict(source=lambda: files() / "rows.npy"),
    "Scaffold": dict(periods=(3, 4), num_hidden=9),
    "SparseNetwork": dict(edges=[[0, 1], [1, 2]], weights=[1.0, 1.0]),
    "datasets.bars_and_stripes": dict(side=2),
    "ising.Problem": dict(given=PROBLEM.given, labels=("a", "b"), vartype="BINARY"),
    "ising.Problem.tree_unflatten": None,  # JAX calls it
    "ising.at_most": CONSTRAINED | dict(count=1),
    "ising.equals": CONSTRAINED | dict(value=1),
    "ising.one_hot": CONSTRAINED,
    "ising.from_ising": dict(h=np.ones(8), J=SQUARE),
    "ising.qubo_value": dict(bits=np.ones(8, int)),
    "plotting.chains": dict(samples=np.random.default_rng(0).normal(size=(2, 20))),
    "ising.from_bqm": dict(bqm=lambda: eam.ising.to_bqm(PROBLEM)),
    "ising.to_bqm": dict(memory=PROBLEM),
    "ising.minimize": dict(memory=eam.HopfieldNetwork(SQUARE)),
    "ising.read_gset": dict(path=lambda: files() / "triangle.txt"),
    **{f"learning.{name}_step": dict(weights=SQUARE, key=REAL[0]) for name in ("delta", "hebbian", "oja")},
    "learning.storkey_step": dict(weights=SQUARE, key=X[0]),
    "learning.GradientMemory": dict(network=LAYER),
    "learning.gradient_step": dict(
        memory=eam.learning.GradientMemory(LAYER), key=np.ones(2), value=np.ones(1), rate=0.1
    ),
    "learning.write": dict(memory=SQUARE, keys=REAL, step=lambda: eam.learning.delta_step),
    "learning.stream": dict(memory=SQUARE, keys=REAL, values=REAL, queries=REAL),
    "lm.Lookup": dict(
        mem_frac=1.0, bookkeeping_frac=0.5, softmax_scale=1.0, include_own=True, residual_frac=0.0
    ),
    "lm.MemoryStore.load": dict(path=stored),
    "lm.decode_after": dict(tokenizer=tokenizer, before=[1], tokens=[2, 3]),
    "lm.load": dict(source=FOLDERS["gpt2"]),
    "lm.sentiment": dict(texts=["good"]),
    "lm.load_tokenizer": dict(source=lambda: files() / "tiny_gpt2"),
    "lm.remember": dict(layers=[0]),
    **{f"lm.{name}": dict(max_new_tokens=1) for name in ("generate", "generate_cached", "stream")},
    "lm.look_ups": dict(memory=store),
    "lm.sweep_layers": dict(memory=store),
    "nn.EnergyTransformer": dict(num_tokens=4, patch_size=3, num_heads=2, num_patterns=4, num_steps=1),
    "nn.FastWeightsCell": dict(input_size=2, hidden_size=3),
    "nn.FastWeightsRNN": dict(cell=lambda: nn.FastWeightsCell(2, 3, key=KEY), output_size=2),
    "nn.FastWeightLayer": dict(size=4),
    "nn.LSTMRNN": dict(input_size=2, hidden_size=3, output_size=2),
    "nn.FewShotClassifier": dict(embed=jnp.ravel, read=nn.DotRead()),
    "nn.SettledRead": dict(read=nn.DotRead()),
    "nn.EpisodeLoss": dict(num_ways=2),
    "nn.MaskedCompletion": dict(patches=REAL.reshape(3, 2, 4), batch_size=2),
    "nn.Nudged": dict(memory=LAYERS, cost=cost, target=np.zeros(3), strength=jnp.array(0.5)),
    "nn.as_patches": dict(pictures=IMAGES[0], side=14),
    "nn.contrastive_divergence": dict(num_steps=1),
    "nn.denoising_score_matching": dict(memory=MODERN, states=REAL),
    "nn.HopfieldAttention": dict(size=4, key=KEY),
    "nn.contrastive_hebbian": dict(
        memory=LAYERS, queries=HALF, inputs={"a": True}, outputs={"b": True}, max_steps=2
    ),
    "nn.equilibrium_propagation": dict(**RULE_OF_LAYERS, targets=np.zeros((2, 3)), cost=cost, max_steps=2),
    "nn.predictive_coding": dict(**RULE_OF_LAYERS, max_steps=2),
    "nn.recall_at_rest": dict(memory=MODERN, query=REAL[0]),
    "nn.episode_accuracy": dict(
        model=lambda: nn.FewShotClassifier(jnp.ravel, nn.DotRead()), num_ways=2, num_episodes=2
    ),
    "nn.train": dict(
        model=LAYER,
        optimizer=optax.sgd(0.1),
        loss=lambda model, key: jnp.sum(model.weight**2),
        num_steps=1,
        progress=False,
    ),
    "plotting.animate": dict(result=REAL.reshape(3, 2, 4)),
    "plotting.show_patterns": dict(shape=(2, 4)),
    "plotting.show_recall": dict(result=X[0], query=X[0], shape=(2, 4)),
    "plotting.animate_landscape": dict(
        memory=lambda: eam.ModernHopfield(REAL[:, :2], 1.0), paths=REAL[:, :2], resolution=4
    ),
    "plotting.show_landscape": dict(memory=lambda: eam.ModernHopfield(REAL[:, :2], 1.0), resolution=4),
    "sharding.load_shards": dict(folder=lambda: files() / "shards"),
    "synapses.Attention": dict(query_weights=np.ones((1, 2, 4)), key_weights=np.ones((1, 2, 4))),
    "synapses.Prediction": dict(predict=lambda x: x),
    "synapses.Patterns": dict(patterns=REAL),
    "theory.dense_transition_capacity": dict(degree=3),
    "theory.optimal_radius": dict(num_neurons=100),
    "theory.effective_beta": dict(queries=REAL, keys=REAL),
    "nn.AttractorRead": dict(size=4),
    # Methods, of the instances in `right_methods`.
    "CHN.without": dict(indices=[0]),
    "ContinuousSDM.with_patterns": dict(patterns=REAL),
    "ContinuousSDM.write": dict(patterns=REAL),
    "DenseSequence.write": dict(keys=X, values=X),
    "HierarchicalMemory.energy": dict(state={"a": X[0]}),
    "HierarchicalMemory.field": dict(state={"a": X[0]}),
    "HierarchicalMemory.potential": dict(state={"a": X[0]}),
    "HierarchicalMemory.free_energy": dict(visible={"a": X[0]}),
    "KeyValueMemory.without": dict(indices=[0]),
    "NeuronSDM.write": dict(addresses=X),
    "NeuronSDM.active": dict(address=X[0]),
    "NeuronSDM.read": dict(address=X[0]),
    "OnlineAssociator.write": dict(key=REAL[0], value=REAL[1]),
    "DenseSequence.field": dict(state=X[0]),
    "ProductDenseAM.pattern": dict(indices=[0, 1]),
    "ProductDenseAM.ranked": dict(state=np.tile(X[0], 2)),
    "Recall.frames": dict(every=1),
    "Scaffold.at": dict(place=3),
    "Scaffold.hidden": dict(place=3),
    "Scaffold.nearest_place": dict(hidden=np.ones(9)),
    "Store.delete": dict(ids=[]),
    "Store.payloads": dict(ids=[2]),
    "ising.Minimum.answer": dict(chain=0),
    "ising.Problem.energy": dict(state=X[0, :2]),
    "ising.Problem.states": dict(values=np.array([0, 1])),
    "ising.Problem.values": dict(states=X[0, :2]),
    **{f"ising.Problem.{name}": dict(answer={"a": 1, "b": 0}) for name in ("broken", "row", "value")},
    "learning.GradientMemory.__call__": dict(query=np.ones(2)),
    "lm.LanguageModel.checked": dict(memory=store, lookup=BY_NAME["lookup"]),
    "lm.MemoryStore.append": dict(other=store),
    "lm.MemoryStore.bounded": dict(capacity=4),
    "lm.MemoryStore.forget": dict(text=1),
    "lm.MemoryStore.only": dict(layers=[0]),
    "nn.EnergyTransformer.__call__": dict(patches=np.ones((4, 3))),
    "nn.EnergyTransformer.descend": dict(tokens=np.ones((4, 4))),
    "nn.EnergyTransformer.memory": dict(num_tokens=4),
    "nn.EnergyTransformer.tokens": dict(patches=np.ones((4, 3))),
    "nn.FastWeightLayer.__call__": dict(inputs=np.ones((3, 4))),
    "nn.FastWeightLayer.step": dict(memory=lambda: nn.FastWeightLayer(4, key=KEY).start(), x=np.ones(4)),
    "nn.FastWeightsCell.__call__": dict(weights=np.zeros((3, 3)), hidden=np.ones(3), x=np.ones(2)),
    "nn.AttractorRead.weights": dict(support=np.ones((3, 4))),
    "nn.ConvEmbedding.__call__": dict(image=IMAGES[0, 0]),
    "nn.EpisodeLoss.__call__": dict(model=lambda: nn.FewShotClassifier(jnp.ravel, nn.DotRead())),
    "nn.MaskedCompletion.__call__": dict(
        model=lambda: nn.EnergyTransformer(2, 4, 4, num_heads=2, num_patterns=4, num_steps=1, key=KEY)
    ),
    "nn.ReconstructionLoss.__call__": dict(model=lambda: nn.ProjectedMemory(8, LSE, 4, key=KEY)),
    "nn.Nudged.energy": dict(state={"a": np.full(4, 0.5), "b": np.zeros(3)}),
    "nn.Nudged.potential": dict(state={"a": np.full(4, 0.5), "b": np.zeros(3)}),
    "nn.ProjectedMemory.project": dict(vectors=np.ones((3, 4))),
    "plotting.Animation.save": dict(path="animation.gif"),
    "synapses.Attention.scores": dict(tokens=np.ones((3, 4))),
    "synapses.Attention.seen": dict(tokens=np.ones((3, 4))),
    "synapses.Attention.weights": dict(tokens=np.ones((3, 4))),
    "Scaffold.place": dict(features=X[0]),
    "nn.FastWeightsRNN.__call__": dict(inputs=np.ones((3, 2))),
    "nn.FastWeightsRNN.memories": dict(inputs=np.ones((3, 2))),
    "nn.LSTMRNN.__call__": dict(inputs=np.ones((3, 2))),
    "nn.FewShotClassifier.__call__": dict(support=IMAGES[:2, 0], labels=[0, 1], queries=IMAGES[:2, 1]),
    "nn.FewShotClassifier.answer": dict(support=REAL[:2], labels=[0, 1], queries=REAL),
    **{
        f"nn.HopfieldAttention.{name}": dict(queries=REAL[:, :4], stored=REAL[:, :4])
        for name in ("__call__", "associate")
    },
    **{f"nn.HopfieldLookup.{name}": dict(queries=REAL[:, :4]) for name in ("__call__", "associate")},
    **{f"nn.HopfieldPooling.{name}": dict(stored=REAL[:, :4]) for name in ("__call__", "associate")},
    "nn.ProjectedMemory.__call__": dict(query=np.ones(4), stored=np.ones((3, 4))),
}


# What the library makes for its users, who don't call these.
MADE_FOR_USERS = {
    "Animation": "plotting.animate",
    "Recall": "recall",
    "Retrieved": "evaluation.retrieved",
    "Samples": "sample",
    "Tick": "recall",
    "Flips": "a rule",
    "States": "a rule",
    "LanguageModel": "lm.load",
    "MemoryStore": "lm.remember",
    "MemoryClassifier": "nobody: its arguments are checked by `fit`, as scikit-learn wants it",
}


def public_names():
    """Every public callable with its name, such as `nn.train`."""
    for space in ("", *sorted({*eam._LAZY, "synapses"})):
        module = getattr(eam, space) if space else eam
        for name in module.__all__:
            if callable(getattr(module, name)):
                yield f"{space}.{name}".strip("."), getattr(module, name)


def needs_rows(name, value):
    """Not abstract classes, which nobody makes, nor named tuples, nor what takes no argument."""
    if isinstance(value, type) and (value.__name__.startswith("Abstract") or issubclass(value, tuple)):
        return False
    if not isinstance(value, type | types.FunctionType) and not hasattr(value, "__wrapped__"):
        return False  # a type alias, such as a Literal
    return bool(inspect.signature(value).parameters) and name.split(".")[-1] not in MADE_FOR_USERS


def calls():
    """Public names with what they are, and functions of a class, such as `NeuronSDM.random`."""
    for name, called in public_names():
        if needs_rows(name, called):
            yield name, called
        for own, member in vars(called).items() if isinstance(called, type) else ():
            if isinstance(member, staticmethod | classmethod) and not own.startswith("_"):
                yield f"{name}.{own}", getattr(called, own)


def parameters(called):
    """The parameters of a public callable with their types: of a field, where a converter takes anything."""
    fields = {f.name: f.type for f in dataclasses.fields(called)} if dataclasses.is_dataclass(called) else {}
    for one in inspect.signature(called).parameters.values():
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        kind = one.annotation
        if kind in (typing.Any, one.empty) and one.name in fields:
            kind = fields[one.name]
        yield one.name, kind, one.default


def right_call(name, called):
    """Right arguments of a public callable; None where there is no telling, or where it would read files."""
    own = ONE_CALL.get(name, {})
    if own is None:
        return None
    given = {}
    for parameter, _, default in parameters(called):
        value = own.get(parameter, BY_NAME.get(parameter) if default is inspect.Parameter.empty else None)
        if value is not None:
            given[parameter] = value() if _is_made(parameter, value) else value
        elif default is inspect.Parameter.empty:
            return None
    return given


def _is_made(parameter, value):
    """Whether a right value is a function that makes it, as it is where no function is wanted."""
    wants_function = parameter in ("function", "loss", "cost", "build", "draw", "embed", "predict")
    made = isinstance(value, types.FunctionType | functools._lru_cache_wrapper)
    return made and not wants_function
