"""Training an energy: storage by probability flow beside the learning rules, and the bias of short chains.

Storage: the share of K random patterns of D neurons at which every flip raises the energy, for a
`HopfieldNetwork` from each rule; `other data` is probability flow on as many other patterns, the control. The
floor is 0. Bias: the gradient of contrastive divergence after n sweeps from the data, beside the gradient of
the likelihood by enumeration; `noise` is how far two halves of the chains differ. Neurons are taken in order,
as an order drawn at random and shared by all chains would differ between the halves.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np
import optax

import energyam as eam

RULES = {"storkey": eam.storkey, "pseudo-inverse": eam.pseudo_inverse, "hebbian": eam.hebbian}
FLOW, OTHER = "probability flow", "other data"


def run(quick: bool) -> list[dict]:
    D, steps, repeats = (16, 100, 1) if quick else (64, 1500, 3)
    sizes = (8, 20) if quick else (8, 16, 32, 48, 64, 80, 96, 112)
    rows = [stored(D, K, steps, repeats) for K in sizes]
    chains = 200 if quick else 40_000
    return rows + [bias(n, chains) for n in ((1, 10) if quick else (1, 2, 4, 8, 16, 32))]


def stored(D, K, steps, repeats):
    """The shares stored, the mean over some sets of patterns."""
    shares = {}
    for repeat in range(repeats):
        keys = jr.split(jr.fold_in(jr.key(K), repeat))
        X, others = (eam.datasets.random_patterns(K, D, key=key) for key in keys)
        ways = {FLOW: fit(X, steps)} | {name: rule(X) for name, rule in RULES.items()}
        for name, weights in (ways | {OTHER: fit(others, steps)}).items():
            shares.setdefault(name, []).append(share_of_minima(weights, X))
    return {"D": D, "K": K} | {name: float(np.mean(found)) for name, found in shares.items()}


@eqx.filter_jit
def fit(X, steps):
    """The weights of least probability flow, by Adam from none."""
    D, rule = X.shape[1], optax.adam(0.02)
    symmetric = lambda W: 0.5 * (W + W.T) * (1 - jnp.eye(D))  # noqa: E731

    def step(at, _):
        W, moments = at
        loss = lambda W: eam.nn.probability_flow(eam.HopfieldNetwork(symmetric(W)), X)  # noqa: E731
        move, moments = rule.update(jax.grad(loss)(W), moments)
        return (W + move, moments), None

    W = jnp.zeros((D, D))
    return symmetric(jax.lax.scan(step, (W, rule.init(W)), length=steps)[0][0])


@jax.jit
def share_of_minima(weights, X):
    """The share of patterns at which every flip raises the energy, beyond rounding."""
    X, weights = X.astype(float), weights * (1 - jnp.eye(X.shape[1]))
    rises = 2 * X * (X @ weights)
    return (rises.min(axis=1) > 1e-3 * jnp.abs(weights).max()).mean()


def bias(num_steps, chains):
    """How far the gradient of contrastive divergence is from that of the likelihood, relative to its size."""
    D = 8
    weights = jr.normal(jr.key(1), (D, D)) * (1 - jnp.eye(D))
    memory = eam.HopfieldNetwork((weights + weights.T) / 3)
    data = eam.datasets.random_patterns(4, D, key=jr.key(2)).astype(float)
    states = 1.0 - 2.0 * ((jnp.arange(2**D)[:, None] >> jnp.arange(D)) & 1)

    def minus_log_likelihood(m):
        energy = jax.vmap(m.energy)
        return energy(data).mean() + jax.nn.logsumexp(-energy(states))

    def slope(key):
        loss = lambda m: eam.nn.contrastive_divergence(  # noqa: E731
            m, jnp.tile(data, (chains // 8, 1)), eam.HeatBath(1.0, "sequential"), num_steps, key=key
        )
        return eqx.filter_grad(loss, has_aux=True)(memory)[0].weights

    exact = eqx.filter_grad(minus_log_likelihood)(memory).weights
    halves = [slope(jr.key(3)), slope(jr.key(4))]
    size = jnp.linalg.norm(exact)
    return {
        "sweeps": num_steps,
        "bias": float(jnp.linalg.norm(sum(halves) / 2 - exact) / size),
        "noise": float(jnp.linalg.norm(halves[0] - halves[1]) / 2 / size),
    }


def figure(rows: list[dict]) -> plt.Figure:
    """Shares stored against the number of patterns; the bias against the number of sweeps."""
    shown, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    storage, biases = ([row for row in rows if key in row] for key in ("K", "bias"))
    for name in (FLOW, *RULES, OTHER):
        left.plot([row["K"] for row in storage], [row[name] for row in storage], "o-", label=name)
    left.set(xlabel=f"patterns of {storage[0]['D']} neurons", ylabel="share stored")
    shown.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    for name in ("bias", "noise"):
        right.loglog([row["sweeps"] for row in biases], [row[name] for row in biases], "o-", label=name)
    right.set(xlabel="sweeps of contrastive divergence", ylabel="error of the gradient, relative")
    right.legend()
    return shown
