"""Memories of several layers: recall to rest by each rule, its twins, and what training costs in memory.

The twin is recall as barebones-hamux has it, written anew from the published formulas: inputs x, activations
g = ∇L(x), and x ← x − α ∂E/∂g of the energy Σ (x · g − L(x)) − P(g). It runs as a Python loop over a compiled
step, and as the same step in a compiled scan, which is the fair one. Twins take the number of steps that
energyam's joint rule needs.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks import harness
from benchmarks.token_models import FedTokens
from energyam import nn

RATE, TOL, MOST = 0.5, 1e-4, 300


def network(sizes, scale=1.0):
    """Layer norm, tanh and softmax, all coupled by random weights."""
    D, M, K = sizes
    norm = eam.LayerNorm(shape=(D,))
    neurons = {"seen": norm, "hidden": eam.Tanh(1.0, shape=(M,)), "name": eam.Softmax(1.0, shape=(K,))}
    names = [("seen", "hidden"), ("hidden", "name"), ("name", "seen")]
    synapses = []
    for pair, key in zip(names, jr.split(jr.key(0), 3), strict=True):
        shape = tuple(neurons[name].shape[0] for name in pair)
        synapses.append((eam.synapses.Dense(scale * jr.normal(key, shape) / sum(shape) ** 0.5), pair))
    return eam.HierarchicalMemory(neurons, synapses)


def starts(memory, count):
    """Random states, and the inputs that give them."""
    keys = dict(zip(memory.order, jr.split(jr.key(1), 3), strict=True))
    inputs = {name: jr.normal(keys[name], (count, *memory.neurons[name].shape)) for name in memory.order}
    return inputs, {name: jax.vmap(memory.neurons[name].respond)(x, x) for name, x in inputs.items()}


def twin_step(lagrangians, potential, rate):
    """x ← x − α ∂E/∂g for a batch, and the energies. This is the twin, and all of it."""

    def energy(g, x):
        layers = sum(jnp.vdot(x[name], g[name]) - L(x[name]) for name, L in lagrangians.items())
        return layers - potential(g)

    def step(x):
        g = {name: jax.grad(L)(x[name]) for name, L in lagrangians.items()}
        value, slope = jax.value_and_grad(energy)(g, x)
        return jax.tree.map(lambda x, d: x - rate * d, x, slope), value

    return jax.jit(jax.vmap(step))


def twins_of(memory, rate):
    """The twin of a network of ours, from nothing but the weights."""
    W, V, U = (synapse.weights for synapse in memory.synapses)
    lagrangians = {
        "seen": lambda x: x.size * jnp.sqrt(jnp.var(x) + 1e-5),
        "hidden": lambda x: jnp.sum(jnp.log(jnp.cosh(x))),
        "name": jax.nn.logsumexp,
    }

    def potential(g):
        return g["seen"] @ W @ g["hidden"] + g["hidden"] @ V @ g["name"] + g["name"] @ U @ g["seen"]

    step = twin_step(lagrangians, potential, rate)

    def loop(x, num_steps):
        for _ in range(num_steps):
            x, energy = step(x)
        return x, energy

    def scan(x, num_steps):
        return jax.lax.scan(lambda x, _: step(x), x, None, num_steps)

    return loop, jax.jit(scan, static_argnums=1)


def recall_rows(quick):
    """Recall to rest, one query and a hundred."""
    memory = network((32, 16, 4) if quick else (784, 256, 10), 3.0)
    rules = {
        "joint": eam.Relaxation(RATE, tol=TOL),
        "blockwise": eam.Blockwise(tol=TOL),
        "line search": eam.LineSearch(tol=TOL),
    }
    rows = []
    for count in (1, 3) if quick else (1, 100):
        inputs, states = starts(memory, count)
        found = {name: eam.recall(memory, states, rule, MOST) for name, rule in rules.items()}
        num_steps = int(found["joint"].num_steps.max())
        ways = {
            name: lambda rule=rule, states=states: eam.recall(memory, states, rule, MOST, record=False)
            for name, rule in rules.items()
        }
        loop, scan = twins_of(memory, RATE)
        ways["twin, Python loop"] = lambda inputs=inputs, n=num_steps, loop=loop: loop(inputs, n)
        ways["twin, scan"] = lambda inputs=inputs, n=num_steps, scan=scan: scan(inputs, n)
        timings = harness.time_all(ways, 1 if quick else 5)
        fair = timings["twin, scan"].best
        for name, timing in timings.items():
            row = {"part": "recall to rest", "rule": name, "queries": count}
            row |= {"ms per query": timing.best * 1e3 / count, "twin in scan / this": fair / timing.best}
            if name in found:
                row |= ended(memory, found[name])
            else:
                row |= {"steps": num_steps, "at rest": "not asked"}
            rows.append(row)
    return rows


def ended(memory, result):
    """Steps of the slowest query, how many came to rest, rises, and the mean energy at the end."""
    energies = np.concatenate([result.initial_energy[..., None], result.energies], axis=-1)
    rises = np.diff(energies, axis=-1) > 1e-5 * np.nanmax(np.abs(energies))
    updates = np.maximum(np.asarray(result.num_steps) * (energies.shape[-1] - 1) // MOST, 1)
    taken = np.arange(rises.shape[-1]) < updates[..., None]
    return {
        "steps": int(result.num_steps.max()),
        "at rest": float(result.converged.mean()),
        "share of updates that rise": float((rises & taken).sum() / taken.sum()),
        "energy": float(jax.vmap(memory.energy)(result.state).mean()),
    }


def rises_rows(quick):
    """The share of updates after which the energy is higher, and where it ends: strong couplings, tokens."""
    memory = network((6, 5, 4) if quick else (64, 48, 10), 4.0)
    states = starts(memory, 2 if quick else 20)[1]
    rules = {f"joint, rate {rate}": eam.Relaxation(rate, tol=TOL) for rate in (1.0, 0.5, 0.1)}
    rules |= {"blockwise": eam.Blockwise(tol=TOL), "line search": eam.LineSearch(tol=TOL)}
    rows = [
        {"part": "strong couplings", "rule": name} | ended(memory, eam.recall(memory, states, rule, MOST))
        for name, rule in rules.items()
    ]
    transformer = opposed(4, 8) if quick else opposed(16, 32)
    N, D = (4, 8) if quick else (16, 32)
    tokens, x = transformer.memory(N), jr.normal(jr.key(5), (2 if quick else 10, N, D))
    start = {"tokens": jax.vmap(transformer.norm.respond)(x, x)}
    for rate in (0.1, 1.0, 10.0):
        ways = {
            "joint": eam.Relaxation(rate, decay=False),
            "token by token": eam.Blockwise(rate, ("tokens",), decay=False),
        }
        for name, rule in ways.items():
            result = eam.recall(tokens, start, rule, 60)
            # Without decay what falls is −potential.
            frames = result.frames(every=1)
            energies = -jax.vmap(jax.vmap(tokens.potential))(frames)
            rises = jnp.diff(energies, axis=1)
            scale = jnp.abs(energies[:, :1])
            rows.append(
                {
                    "part": "energy transformer, keys opposed",
                    "rule": f"{name}, rate {rate}",
                    "steps": 60,
                    "share of updates that rise": float((rises > 1e-5 * scale).mean()),
                    "largest rise, of |E| at the start": float(jnp.maximum(rises / scale, 0).max()),
                    "energy": float(energies[:, -1].mean()),
                }
            )
    return rows


def opposed(N, D):
    """An energy transformer with W_k = −W_q, whose tokens push one another away."""
    made = nn.EnergyTransformer(N, 8, D, num_heads=2, head_size=8, num_patterns=4, key=jr.key(2))
    queries = jr.normal(jr.key(3), made.query_weights.shape) / 2
    leaves = lambda m: (m.query_weights, m.key_weights)  # noqa: E731
    return eqx.tree_at(leaves, made, (queries, -queries))


def transformer_rows(quick):
    """T = 12 steps of an energy transformer against a value-and-grad of the published energy, in a scan."""
    N, D, H, Y, M = (4, 8, 2, 4, 8) if quick else (64, 128, 4, 32, 512)
    model = nn.EnergyTransformer(N, 8, D, num_heads=H, head_size=Y, num_patterns=M, key=jr.key(2))

    def plain_energy(g):
        K = jnp.einsum("hyd,nd->hny", model.key_weights, g)
        Q = jnp.einsum("hyd,nd->hny", model.query_weights, g)
        scores = Y**-0.5 * jnp.einsum("hby,hcy->hcb", K, Q)
        scores = jnp.where(jnp.eye(N, dtype=bool)[None], -jnp.inf, scores)
        hopfield = 0.5 * jnp.sum(jax.nn.relu(g @ model.patterns.T) ** 2)
        return -jnp.sum(jax.nn.logsumexp(scores, axis=-1)) / Y**-0.5 - hopfield

    def plain(x):
        def step(x, _):
            centred = x - x.mean(-1, keepdims=True)
            g = centred / jnp.sqrt(jnp.var(x, axis=-1, keepdims=True) + 1e-5)
            value, slope = jax.value_and_grad(plain_energy)(g)
            return x - 0.1 * slope, value

        return jax.lax.scan(step, x, None, 12)

    ours, twin = (jax.jit(jax.vmap(f)) for f in (lambda x: model.descend(x), plain))
    rows = []
    for count in (1, 2) if quick else (1, 16):
        x = jr.normal(jr.key(4), (count, N, D))
        timings = harness.time_all({"energyam": lambda x=x: ours(x), "twin": lambda x=x: twin(x)}, 5)
        for name, timing in timings.items():
            row = {"part": "energy transformer, 12 steps", "rule": name, "queries": count}
            ratio = timings["twin"].best / timing.best
            rows.append(row | {"ms per query": timing.best * 1e3 / count, "twin in scan / this": ratio})
    return rows


def memory_rows(quick):
    """Bytes that a training step needs beside its arguments and results, against T; nothing is run."""
    rows = []
    patches, hidden = jnp.zeros((16, 16, 49)), jnp.zeros((16, 16), bool)
    for T in (2, 4) if quick else (12, 48, 192):
        models = {
            kind: nn.EnergyTransformer(
                16, 49, 64, num_steps=T, checkpointed=kind != "unrolled", key=jr.key(0)
            )
            for kind in ("unrolled", "checkpointed")
        }
        models["implicit"] = FedTokens(16, True, T, key=jr.key(0))
        for name, model in models.items():
            loss = lambda model, x, h: jnp.sum(jax.vmap(lambda x, h: model(x, h))(x, h) ** 2)  # noqa: E731
            found = harness.extra_bytes(jax.grad(loss), model, patches, hidden)
            rows.append({"part": "memory of a training step", "rule": name, "T": T, "MB": found / 1e6})
    return rows


def run(quick: bool = False) -> list[dict]:
    """All parts, one after another."""
    return recall_rows(quick) + transformer_rows(quick) + rises_rows(quick) + memory_rows(quick)
