"""Which learning rule serves which memory: every cell of the table in docs/learning_energies.md."""

import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam import nn

S = eam.synapses
B = 3
BLOCKWISE, GRADIENT, RELAXED = eam.Blockwise(), eam.GradientDescent(0.2), eam.Relaxation(0.5)


def normal(seed, *shape):
    return 0.4 * jr.normal(jr.key(seed), shape)


def signs(seed, *shape):
    return jnp.sign(normal(seed, *shape))


class Case(eqx.Module):
    """A memory, states to learn, what the inputs and the outputs are, and a rule that recalls."""

    memory: eqx.Module
    states: object
    inputs: object
    outputs: object
    update: object


def couplings():
    memory = eam.HopfieldNetwork(normal(0, 5, 5) + normal(0, 5, 5).T, normal(1, 5))
    return Case(memory, signs(2, B, 5), True, True, None)


def machine():
    layers = {"x": eam.Binary(shape=(4,)), "s": eam.Binary(shape=(3,))}
    memory = eam.HierarchicalMemory(layers, [(S.Dense(normal(0, 4, 3)), ("x", "s"))])
    return Case(memory, {"x": signs(1, B, 4), "s": signs(2, B, 3)}, {"x": True}, {"s": True}, BLOCKWISE)


def modern():
    memory = eam.ModernHopfield(2 * normal(0, 4, 5), 2.0)
    return Case(memory, normal(1, B, 5), True, True, eam.Synchronous())


def graded():
    layers = {"x": eam.Tanh(1.0, shape=(4,)), "s": eam.Sigmoid(1.0, shape=(3,))}
    memory = eam.HierarchicalMemory(layers, [(S.Dense(normal(0, 4, 3)), ("x", "s"))])
    states = {"x": jnp.tanh(normal(1, B, 4)), "s": jax.nn.sigmoid(normal(2, B, 3))}
    return Case(memory, states, {"x": True}, {"s": True}, BLOCKWISE)


class Times(eqx.Module):
    """x → W x."""

    weights: jax.Array

    def __call__(self, x):
        return self.weights @ x


def predicting():
    layers = {
        "x": eam.Continuous(shape=(4,)),
        "h": eam.Continuous(shape=(3,)),
        "s": eam.Continuous(shape=(2,)),
    }
    synapses = [(S.Prediction(Times(normal(0, 3, 4))), ("x", "h"))]
    synapses += [(S.Prediction(Times(normal(1, 2, 3))), ("h", "s"))]
    states = {"x": normal(2, B, 4), "h": normal(3, B, 3), "s": normal(4, B, 2)}
    return Case(eam.HierarchicalMemory(layers, synapses), states, {"x": True}, {"s": True}, GRADIENT)


def tokens():
    layer = eam.LayerNorm(shape=(3, 4), eps=0.1)
    attention, patterns = (
        S.Attention(normal(0, 2, 2, 4), normal(1, 2, 2, 4)),
        S.Patterns(normal(2, 5, 4), eam.Polynomial(2)),
    )
    synapses = [(attention, ("t",)), (patterns, ("t",)), (S.Bias(normal(3, 3, 4)), ("t",))]
    states = {"t": jax.vmap(layer.respond)(normal(4, B, 3, 4), normal(4, B, 3, 4))}
    # The first token is known.
    clamp = {"t": jnp.array([[True], [False], [False]])}
    return Case(eam.HierarchicalMemory({"t": layer}, synapses), states, clamp, {"t": True}, RELAXED)


CASES = {f.__name__: f for f in (couplings, machine, modern, graded, predicting, tokens)}


def squares(state, target):
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(target), strict=True)
    return 0.5 * sum(jnp.sum((a - b) ** 2) for a, b in pairs)


def start(case):
    """States from which recall can find others: those to learn, free parts moved."""
    moved = jax.tree.map(lambda leaf: 0.5 * leaf, case.states)
    return moved if all(map(_is_free, jax.tree.leaves(case.memory.neurons, is_leaf=_is_one))) else case.states


def _is_one(node):
    return isinstance(node, eam.AbstractNeurons)


def _is_free(one):
    return isinstance(one, eam.Continuous)


def known(case):
    """The clamp of recalls: the inputs of layers, and nothing of a state of one layer."""
    return None if case.inputs is True else case.inputs


def pseudo_likelihood(case):
    return nn.pseudo_likelihood(case.memory, case.states)


def probability_flow(case):
    return nn.probability_flow(case.memory, case.states)


def divergence(update):
    return lambda case: nn.contrastive_divergence(case.memory, case.states, update, 2, key=jr.key(9))


def score_matching(case):
    return nn.denoising_score_matching(case.memory, case.states, 0.3, key=jr.key(9))


def contrastive_hebbian(case):
    options = dict(inputs=case.inputs, outputs=case.outputs)
    return nn.contrastive_hebbian(case.memory, case.states, case.update, 40, **options)


def equilibrium_propagation(case):
    options = dict(clamp=known(case), strength=0.05)
    return nn.equilibrium_propagation(
        case.memory, start(case), case.states, squares, case.update, 40, **options
    )


def predictive_coding(case):
    clamp = case.inputs if case.inputs is True else {**case.inputs, **case.outputs}
    return nn.predictive_coding(case.memory, case.states, case.update, 40, clamp=clamp)


def through_recall(case):
    end = eam.recall(
        case.memory, start(case), case.update, 40, clamp=known(case), key=jr.key(8), record=False
    )
    return jax.vmap(squares)(end.state, case.states).mean()


def checkpointed(case):
    return jax.checkpoint(lambda states: through_recall(eqx.tree_at(lambda c: c.states, case, states)))(
        case.states
    )


def implicit(case):
    end = lambda s: nn.recall_at_rest(case.memory, s, case.update, 80, clamp=known(case))  # noqa: E731
    return jax.vmap(squares)(jax.vmap(end)(start(case)), case.states).mean()


HEAT, NOISE = divergence(eam.HeatBath(1.0)), divergence(eam.Langevin(0.002, adjusted=False))
REST = [equilibrium_propagation, through_recall, checkpointed, implicit]
SERVES = {
    "couplings": [pseudo_likelihood, probability_flow, HEAT],
    "machine": [pseudo_likelihood, probability_flow, HEAT, contrastive_hebbian],
    "modern": [NOISE, score_matching, *REST],
    "graded": [NOISE, contrastive_hebbian, *REST],
    "predicting": [NOISE, score_matching, contrastive_hebbian, predictive_coding, *REST],
    "tokens": [NOISE, contrastive_hebbian, *REST],
}
CELLS = [(name, rule) for name, rules in SERVES.items() for rule in rules]
NAMES = {HEAT: "heat_bath", NOISE: "langevin"}


def label(value):
    return value if isinstance(value, str) else NAMES.get(value, getattr(value, "__name__", None))


@pytest.mark.parametrize(("name", "rule"), CELLS, ids=label)
def test_the_gradient_is_how_fast_the_rule_lowers_what_it_is_for(name, rule):
    case = CASES[name]()
    params, rest = eqx.partition(case.memory, eqx.is_inexact_array)

    def with_memory(params):
        return eqx.tree_at(lambda c: c.memory, case, eqx.combine(params, rest))

    def loss(params):
        found = rule(with_memory(params))
        return found if isinstance(found, tuple) else (found, None)

    value_and_grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, ends), slope = value_and_grad(params)

    @jax.jit
    def lowered(params):
        """What the rule lowers where it is not the loss: the cost at rest, or energies beside ends."""
        new = with_memory(params)
        if rule is equilibrium_propagation:
            return through_recall(new)
        return jnp.mean(jax.vmap(new.memory.energy)(case.states) - jax.vmap(new.memory.energy)(ends))

    is_loss = ends is None and rule is not equilibrium_propagation
    value = (lambda params: value_and_grad(params)[0][0]) if is_loss else lowered
    size = sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(slope)) ** 0.5
    assert np.isfinite(size) and size > 1e-4
    low, high = (
        float(value(jax.tree.map(lambda p, s, h=h: p + h * s / size, params, slope))) for h in (-1e-2, 1e-2)
    )
    np.testing.assert_allclose((high - low) / 2e-2, size, rtol=0.05, atol=1e-3)


NEEDS_FLIPS = [pseudo_likelihood, probability_flow, HEAT]
REFUSED = [
    *[
        (name, rule, "±1|flip")
        for name in ("modern", "graded", "predicting", "tokens")
        for rule in NEEDS_FLIPS
    ],
    *[(name, NOISE, "continuous neurons|±1") for name in ("couplings", "machine")],
    *[(name, score_matching, "needs continuous neurons") for name in ("couplings", "machine")],
    *[(name, score_matching, "needs neurons that may take any value") for name in ("graded", "tokens")],
    *[(name, equilibrium_propagation, "needs continuous neurons") for name in ("couplings", "machine")],
    *[(name, predictive_coding, "needs continuous neurons") for name in ("couplings", "machine")],
    *[(name, contrastive_hebbian, "layer") for name in ("couplings", "modern")],
    *[(name, predictive_coding, "several layers") for name in ("modern", "tokens")],
    *[
        (name, rule, "differentiable")
        for name in ("couplings", "machine")
        for rule in (through_recall, checkpointed, implicit)
    ],
]


@pytest.mark.parametrize(("name", "rule", "message"), REFUSED, ids=label)
def test_other_rules_are_refused(name, rule, message):
    case = CASES[name]()
    if name == "machine" and rule is not contrastive_hebbian:
        # The default is to flip. (Signs that answer block by block have slopes of 0, which is no error.)
        case = eqx.tree_at(lambda c: c.update, case, None)
    params, rest = eqx.partition(case.memory, eqx.is_inexact_array)

    def loss(params):
        found = rule(eqx.tree_at(lambda c: c.memory, case, eqx.combine(params, rest)))
        return found[0] if isinstance(found, tuple) else found

    with pytest.raises(ValueError, match=message):
        jax.eval_shape(jax.grad(loss), params)


def test_the_table_of_the_page_is_what_is_tested():
    page = pathlib.Path(__file__).parent.parent / "docs" / "learning_energies.md"
    rows = [line.split("|")[1:-1] for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    told = {cells[0].strip(): [cell.strip().startswith("yes") for cell in cells[1:]] for cells in rows[3:]}
    rules = [pseudo_likelihood, probability_flow, (HEAT, NOISE), score_matching, contrastive_hebbian]
    rules += [equilibrium_propagation, predictive_coding, through_recall, checkpointed, implicit]
    assert len(told) == len(rules)
    for (row, cells), rule in zip(told.items(), rules, strict=True):
        options = rule if isinstance(rule, tuple) else (rule,)
        assert cells == [any(one in SERVES[name] for one in options) for name in CASES], row
