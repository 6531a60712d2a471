"""Wrong use of hierarchical memories, synapses and rules over layers: each a ValueError that names it."""

import equinox as eqx
import jax.numpy as jnp
import pytest

import energyam as eam

S = eam.synapses
NEURONS = {"image": eam.Sigmoid(1.0, shape=(4,)), "label": eam.Softmax(1.0, shape=(3,))}
W = jnp.ones((4, 3))
STATE = {"image": jnp.full((4,), 0.5), "label": jnp.full((3,), 1 / 3)}


def memory(neurons=NEURONS, synapses=None):
    synapses = [(S.Dense(W), ("image", "label"))] if synapses is None else synapses
    return eam.HierarchicalMemory(neurons, synapses)


@pytest.mark.parametrize(
    ("neurons", "synapses", "message"),
    [
        ({}, [], "neurons must be a dictionary .* without layers"),
        ([eam.Continuous(shape=(4,))], [], "neurons must be a dictionary"),
        (
            {"image": eam.Continuous()},
            [],
            r"neurons\['image'\] must have a shape, .*; got None .*shape=\(D,\)",
        ),
        ({"image": eam.Continuous}, [], r"neurons\['image'\] must be an instance of AbstractNeurons"),
        ({3: eam.Continuous(shape=(4,))}, [], "strings as names of layers; got 3"),
        (NEURONS, [(S.Dense(W), ("image", "lable"))], r"synapses\[0\] \(Dense\) must name layers .*'lable'"),
        (NEURONS, [(S.Dense(W), "image")], r"synapses\[0\] must name its layers in a tuple.*'image'"),
        (NEURONS, [(S.Dense, ("image", "label"))], "not the class Dense; make one"),
        (NEURONS, [S.Dense(W)], r"synapses\[0\] must be a pair"),
        (NEURONS, {"a": S.Dense(W)}, "synapses must be a list of pairs"),
        (
            NEURONS,
            [(S.Dense(W.T), ("image", "label"))],
            r"synapses\[0\] \(Dense\) does not fit its layers, 'image' \(4,\), 'label' \(3,\): "
            r"weights must be \(4, 3\).*got shape \(3, 4\)",
        ),
        (NEURONS, [(S.Dense(W), ("image",))], r"\(Dense\) does not fit its layers, 'image' \(4,\)"),
        (NEURONS, [(S.Bias(jnp.ones(3)), ("image",))], r"'image' \(4,\): bias must be \(4,\).*\(3,\)"),
        (NEURONS, [(S.Patterns(W, eam.ReLU()), ("image",))], r"'image' \(4,\): patterns \(K, D\)"),
        (NEURONS, [(S.Attention(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 4))), ("image",))], "does not fit"),
        (NEURONS, [(S.Convolution(jnp.ones((1, 1, 3))), ("image", "label"))], "first layer of a Convolution"),
        (
            NEURONS,
            [(lambda g: g, ("image",))],
            r"must give a real scalar for .*'image' \(4,\); got shape \(4,\)",
        ),
        (NEURONS, [(lambda g: None, ("image",))], "must give a real scalar"),
    ],
)
def test_memories_that_do_not_fit(neurons, synapses, message):
    with pytest.raises(ValueError, match=message):
        eam.HierarchicalMemory(neurons, synapses)


def test_a_shape_that_is_a_number():
    with pytest.raises(ValueError, match=r"shape must be a tuple of whole numbers, .*; got 4"):
        memory({"image": eam.Continuous(shape=4)}, [])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: S.Dense(jnp.full((2, 2), jnp.nan)), "weights must be finite"),
        (lambda: S.Convolution(jnp.ones((2, 3))), "kernel must be"),
        (lambda: S.Convolution(jnp.ones((2, 3, 3)), 0), "stride must be an integer of at least 1"),
        (
            lambda: S.Convolution(jnp.ones((2, 3, 3)), 1, "same"),
            "padding must be one of SAME, VALID; got 'same'",
        ),
        (lambda: S.Patterns(jnp.ones(3), eam.ReLU()), r"patterns must be \(K, D\)"),
        (lambda: S.Patterns(W, eam.ReLU), "separation must be an instance"),
        (lambda: S.Prediction(3), "predict must be a function; got 3"),
        (lambda: S.Attention(jnp.ones((1, 2, 4)), jnp.ones((1, 3, 4))), r"key_weights must be \(1, 2, 4\)"),
        (lambda: S.Attention(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 4)), -1.0), "beta must be positive"),
        (lambda: attention(adjacency=jnp.ones((2, 2))), r"adjacency must be \(N, N\) bool"),
        (
            lambda: attention(adjacency=jnp.ones((2, 2), bool), own=True),
            "own must be False with an adjacency",
        ),
        (lambda: eam.Blockwise(1.5), "rate must be at most 1 with decay.*got 1.5"),
        (lambda: eam.Blockwise(0.0), "rate must be positive"),
        (lambda: eam.Blockwise(tokens="image"), "tokens must be a tuple of names"),
        (lambda: eam.Relaxation(-1.0), "rate must be positive"),
        (lambda: eam.Relaxation(0.1, decay=1), "decay must be True or False; got 1"),
        (lambda: eam.LineSearch(-1.0), "tol must be finite and not negative"),
    ],
)
def test_parts_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"image": STATE["image"]},
            r"state must be a dictionary of the layers \['image', 'label'\]; got \['image'\]",
        ),
        (jnp.ones(4), "state must be a dictionary of the layers"),
        ({**STATE, "image": jnp.ones((2, 4))}, r"state\['image'\] must be \(4,\).*got shape \(2, 4\)"),
        ({**STATE, "label": 1j * jnp.ones(3)}, r"state\['label'\] must be real"),
    ],
)
def test_states_of_another_kind(state, message):
    with pytest.raises(ValueError, match=message):
        memory().energy(state)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"image": STATE["image"]}, "query must have the layers"),
        ({**STATE, "image": jnp.full((4,), 1.5)}, r"query\['image'\] must be from 0 to 1"),
        ({**STATE, "label": jnp.ones(3)}, r"query\['label'\] must sum to 1"),
        ({**STATE, "image": jnp.ones(5)}, r"query\['image'\] must be \(\.\.\., 4\)"),
        ({**STATE, "image": jnp.ones((2, 4))}, "leading axes"),
    ],
)
def test_queries_of_another_kind(query, message):
    with pytest.raises(ValueError, match=message):
        eam.recall(memory(), query)


@pytest.mark.parametrize(
    ("clamp", "message"),
    [
        ({"picture": True}, "clamp must name layers of the state.*'picture'"),
        ({"label": jnp.array([True, False, False])}, "must hold all neurons of a state or none"),
        ({"image": jnp.ones(4)}, r"clamp\['image'\] must be \(4,\) bool"),
    ],
)
def test_clamps_of_other_layers(clamp, message):
    with pytest.raises(ValueError, match=message):
        eam.recall(memory(), STATE, clamp=clamp)


def attention(**options):
    return S.Attention(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 4)), **options)


class Alone(eqx.Module):
    """An energy alone."""

    def energy(self, state):
        return jnp.sum(state**2)


@pytest.mark.parametrize(
    ("update", "options", "message"),
    [
        (eam.Blockwise(), {}, r"tokens must name 'tokens', as attention .*say eam.Blockwise\(tokens="),
        (eam.Blockwise(tokens=("tokens",)), {"own": True}, "convex in each block; that of layer 'tokens'"),
        (
            eam.Blockwise(tokens=("tokens",)),
            {"adjacency": jnp.ones((3, 3), bool)},
            "convex in each block; that of layer 'tokens'",
        ),
    ],
)
def test_blocks_in_which_attention_is_not_convex(update, options, message):
    layers = {"tokens": eam.Continuous(shape=(3, 4))}
    tokens = eam.HierarchicalMemory(layers, [(attention(**options), ("tokens",))])
    with pytest.raises(ValueError, match=message):
        eam.recall(tokens, {"tokens": jnp.ones((3, 4))}, update)


@pytest.mark.parametrize("update", [eam.Blockwise(), eam.Relaxation(0.5), eam.LineSearch()])
def test_rules_that_do_not_suit_the_memory(update):
    with pytest.raises(ValueError, match="needs a memory with a potential"):
        eam.recall(Alone(), jnp.ones(3), update)
    free = eam.GaussianDenseAM(jnp.ones((2, 3)), 1.0)
    with pytest.raises(ValueError, match="needs neurons with an energy"):
        eam.recall(free, jnp.ones(3), update)


def test_line_search_over_flips_and_tokens_of_unknown_layers():
    binary = memory({"image": eam.Binary(shape=(4,)), "label": eam.Softmax(1.0, shape=(3,))})
    with pytest.raises(ValueError, match="LineSearch needs continuous neurons"):
        eam.recall(binary, {**STATE, "image": jnp.ones(4)}, eam.LineSearch())
    for name in ("words", "image"):
        with pytest.raises(ValueError, match="tokens must name layers of at least two axes"):
            eam.recall(memory(), STATE, eam.Blockwise(tokens=(name,)))
