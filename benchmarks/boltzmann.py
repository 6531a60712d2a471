"""Boltzmann machines: annealed importance sampling beside exact sums, and bars and stripes learned.

Partition functions of machines of 784 visible and 20 hidden units, whose log Z is a sum over 2^20 states, by
chains of more and more steps; `within` says whether the exact value lies in the 95 % interval. Then machines
learn bars and stripes by persistent contrastive divergence on what is seen alone; the best possible mean of
log-likelihoods is −log N for N pictures, and a machine that knows nothing has −side² log 2. The
likelihood is that of the running average of the weights over about a thousand steps: the weights themselves
wander with the noise of their chains to the end.
"""

import time
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import energyam as eam
from benchmarks.sampling import timed

S = eam.synapses


class Learning(NamedTuple):
    """Sizes and steps of one machine that learns bars and stripes."""

    side: int
    hidden: int
    steps: int
    chains: int
    rate: float
    sweeps: int = 2
    decay: float = 3e-4  # of the weights, so that they stay small and the chains move


def run(quick: bool) -> list[dict]:
    rows = []
    for name, memory in machines(*((30, 6) if quick else (784, 20))).items():
        rows += partition_functions(name, memory, (10, 20) if quick else (100, 300, 1000, 3000, 10_000))
    lessons = [Learning(2, 4, 50, 40, 0.05)]
    if not quick:
        lessons = [Learning(3, 16, 10_000, 280, 0.01), Learning(4, 32, 16_000, 480, 0.005)]
    return rows + [row for lesson in lessons for row in learned(lesson)]


def figure(rows):
    """Errors of log Z against steps, with intervals, and the likelihoods that were reached."""
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    annealed = [row for row in rows if row["case"].startswith("log Z")]
    for name in dict.fromkeys(row["case"] for row in annealed):
        of = [row for row in annealed if row["case"] == name]
        gaps = [row["estimate"] - row["exact"] for row in of]
        spans = [
            [g - (r["low"] - r["exact"]), (r["high"] - r["exact"]) - g] for g, r in zip(gaps, of, strict=True)
        ]
        left.errorbar(
            [row["steps"] for row in of], gaps, np.transpose(spans), fmt="o-", capsize=3, label=name
        )
    left.axhline(0, color="0.6", linewidth=0.8)
    left.set(xscale="log", xlabel="steps of a chain", title="estimate of log Z − exact value")
    left.legend(fontsize=8)
    taught = [row for row in rows if row["case"].startswith("bars")]
    for name in dict.fromkeys(row["case"] for row in taught):
        of = [row for row in taught if row["case"] == name and row["steps"] > 0]
        right.plot([r["steps"] for r in of], [r["known"] - r["log-likelihood"] for r in of], "o-", label=name)
    right.set(yscale="log", xlabel="steps of learning", title="−log N − log-likelihood, in nats")
    right.legend(fontsize=8)
    return fig


def machine(weights, seen, hidden):
    """A restricted Boltzmann machine of 0/1 neurons."""
    V, H = weights.shape
    pairs = [(S.Dense(weights), ("seen", "hidden")), (S.Bias(seen), ("seen",)), (S.Bias(hidden), ("hidden",))]
    return eam.HierarchicalMemory({"seen": eam.ZeroOne(shape=(V,)), "hidden": eam.ZeroOne(shape=(H,))}, pairs)


def machines(V, H):
    """One with random couplings, and one with a picture at every hidden unit, which has deep valleys."""
    keys = jr.split(jr.key(0), 4)
    random = machine(
        0.05 * jr.normal(keys[0], (V, H)), -0.2 * jr.normal(keys[1], (V,)), 0.3 * jr.normal(keys[2], (H,))
    )
    pictures = eam.datasets.random_patterns(H, V, key=keys[3]).T
    deep = machine(0.4 * pictures, jnp.zeros(V), jnp.full(H, -0.02 * V))
    return {"random": random, "pictures": deep}


def partition_functions(name, memory, numbers):
    """log Z by annealed importance sampling of 100 chains, beside the exact sum."""
    exact, rows = eam.evaluation.log_partition(memory, 1.0), []
    for steps in numbers:
        call = partial(eam.evaluation.annealed_log_partition, memory, 1.0, 100, steps, key=jr.key(1))
        found, seconds = timed(call)
        row = {"case": f"log Z, {name}", "steps": steps, "exact": exact, "estimate": found.value}
        row |= {"low": found.low, "high": found.high, "within": int(found.low <= exact <= found.high)}
        rows.append(row | {"effective": found.effective, "processor s": seconds})
    return rows


def learned(lesson: Learning) -> list[dict]:
    """The mean log-likelihood of all pictures, exact, as a machine learns them."""
    X = jnp.asarray(eam.datasets.bars_and_stripes(lesson.side).reshape(-1, lesson.side**2) > 0, float)
    weights = 0.1 * jr.normal(jr.key(5), (X.shape[1], lesson.hidden))
    memory = machine(weights, jnp.zeros(X.shape[1]), jnp.zeros(lesson.hidden))
    params, rest = eqx.partition(memory, eqx.is_inexact_array)
    batch = jnp.tile(X, (-(-lesson.chains // len(X)), 1))
    rate = optax.exponential_decay(lesson.rate, lesson.steps, 0.05)
    optimizer = optax.chain(optax.add_decayed_weights(lesson.decay), optax.adam(rate))
    chains = {"seen": batch, "hidden": jnp.zeros((len(batch), lesson.hidden))}

    def loss(params, chains, key):
        memory, rule = eqx.combine(params, rest), eam.BlockGibbs()
        return eam.nn.contrastive_divergence(
            memory, {"seen": batch}, rule, lesson.sweeps, key=key, start=chains
        )

    def step(at, key):
        params, mean, moments, chains = at
        slope, chains = jax.grad(loss, has_aux=True)(params, chains, key)
        move, moments = optimizer.update(slope, moments, params)
        params = optax.apply_updates(params, move)
        return (params, optax.incremental_update(params, mean, 1e-3), moments, chains), None

    some = jax.jit(lambda at, keys: jax.lax.scan(step, at, keys)[0])
    at, rows, start = (params, params, optimizer.init(params), chains), [], time.process_time()
    parts = jnp.split(jr.split(jr.key(6), lesson.steps), 10)
    for done in range(11):
        at = some(at, parts[done - 1]) if done else at
        memory = eqx.combine(at[1], rest)
        exact = eam.evaluation.log_partition(memory, 1.0)
        energy = jax.vmap(lambda x, memory=memory: memory.free_energy({"seen": x}))(X).mean()
        row = {"case": f"bars and stripes {lesson.side} × {lesson.side}", "hidden": lesson.hidden}
        row |= {"steps": done * lesson.steps // 10, "chains": len(batch)}
        row |= {"log-likelihood": float(-energy) - exact, "known": -float(np.log(len(X)))}
        rows.append(row | {"processor s": time.process_time() - start})
    return rows
