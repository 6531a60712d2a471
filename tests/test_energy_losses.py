"""Losses that train an energy: values and gradients against enumeration, and what they are good for."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from zoo import all_states, patterns

import energyam as eam


class Pairs(eqx.Module):
    """A user's own energy of two layers."""

    weights: jax.Array
    state_shape = {"seen": (4,), "hidden": (2, 1)}  # noqa: RUF012

    def energy(self, state):
        return -state["seen"] @ self.weights @ state["hidden"][:, 0] - 0.2 * jnp.sum(state["seen"])


def by_flips(memory, states, term):
    """mean Σ_i term(E(x) − E(x with i flipped)), from energies alone."""
    D = states.shape[1]
    energy = jax.vmap(memory.energy)
    flipped = jnp.stack([energy(states.at[:, i].multiply(-1)) for i in range(D)], axis=1)
    return term(energy(states)[:, None] - flipped).sum(axis=1).mean()


LOSSES = {
    eam.nn.pseudo_likelihood: lambda change: jnp.log(1 + jnp.exp(change / 1.3)),
    eam.nn.probability_flow: lambda change: jnp.exp(change / 2.6),
}


def test_losses_and_gradients_equal_those_from_energies(getkey):
    X = jr.normal(getkey(), (3, 6))
    weights = jr.normal(getkey(), (6, 6))
    memories = [
        eam.HopfieldNetwork((weights + weights.T) / 6, jnp.linspace(-0.5, 0.5, 6)),
        eam.DenseAM(X, eam.LogSumExp(0.6), eam.Binary()),
        eam.DenseAM(X, eam.LogSumExp(0.6), eam.Binary(), eam.NegativeDistance()),
        eam.ExponentialDenseAM(patterns(1, 3, 6), 0.6),
    ]
    states = jr.rademacher(getkey(), (5, 6), dtype=float)
    for loss, term in LOSSES.items():
        for memory in memories:
            value, slope = eqx.filter_value_and_grad(lambda m: loss(m, states.astype(jnp.int8), 1.3))(memory)  # noqa: B023
            exact, exact_slope = eqx.filter_value_and_grad(lambda m: by_flips(m, states, term))(memory)  # noqa: B023
            np.testing.assert_allclose(value, exact, rtol=1e-4)
            for got, wanted in zip(jax.tree.leaves(slope), jax.tree.leaves(exact_slope), strict=True):
                np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_states_of_several_layers(getkey):
    memory = Pairs(jr.normal(getkey(), (4, 2)))
    flat = jr.rademacher(getkey(), (3, 6), dtype=float)
    split = lambda x: {"seen": x[..., 2:], "hidden": x[..., :2, None]}  # noqa: E731

    class Flat(eqx.Module):
        def energy(self, x):
            return memory.energy(split(x))

    for loss, term in LOSSES.items():
        np.testing.assert_allclose(loss(memory, split(flat), 1.3), by_flips(Flat(), flat, term), rtol=1e-5)


def boltzmann(memory, states):
    return jax.nn.softmax(-jax.vmap(memory.energy)(states))


def test_the_truth_is_a_stationary_point_of_every_loss(getkey):
    # States as often as exp(−E) says: by enumeration, so that no noise hides a flipped sign.
    D = 6
    weights = jr.normal(getkey(), (D, D)) * (1 - jnp.eye(D))
    memory, states = eam.HopfieldNetwork((weights + weights.T) / 4), all_states(D)
    p = boltzmann(memory, states)
    for loss in LOSSES:
        each = lambda m: jax.vmap(lambda x: loss(m, x[None]))(states)  # noqa: B023, E731
        slope = lambda m: eqx.filter_grad(lambda m: p @ each(m))(m).weights  # noqa: B023, E731
        assert jnp.abs(slope(memory)).max() < 1e-5
        assert jnp.abs(slope(eam.HopfieldNetwork(memory.weights * 1.15))).max() > 1e-2


def test_contrastive_divergence_follows_the_likelihood_and_shows_its_bias(getkey):
    D = 6
    weights = jr.normal(getkey(), (D, D)) * (1 - jnp.eye(D))
    memory, states = eam.HopfieldNetwork((weights + weights.T) / 2), all_states(D)
    data = patterns(3, 2, D).astype(float)
    batch = jnp.tile(data, (4000, 1))

    def log_likelihood(m):
        energy = jax.vmap(m.energy)
        return -energy(data).mean() - jax.nn.logsumexp(-energy(states))

    exact = -eqx.filter_grad(log_likelihood)(memory).weights

    def slope(num_steps, key):
        loss = lambda m: eam.nn.contrastive_divergence(m, batch, eam.HeatBath(1.0), num_steps, key=key)  # noqa: E731
        gradient, ends = eqx.filter_grad(loss, has_aux=True)(memory)
        assert ends.shape == batch.shape
        return gradient.weights

    short, long = (jnp.abs(slope(n, getkey()) - exact).max() for n in (1, 60))
    assert long < 0.02 < 0.04 < short, (long, short)
    loss, ends = eam.nn.contrastive_divergence(memory, data, eam.HeatBath(1.0), 3, key=getkey())
    again, _ = eam.nn.contrastive_divergence(
        memory, data, eam.HeatBath(1.0), 3, key=getkey(), start=jnp.tile(ends, (5, 1))
    )
    assert loss.shape == again.shape == ()


def test_score_matching_finds_the_density_of_the_noisy_states(getkey):
    class Bowl(eqx.Module):
        stiffness: jax.Array

        def energy(self, x):
            return 0.5 * self.stiffness * jnp.sum(x**2)

    v, sigma, T = 0.8, 0.5, 0.7
    x = jnp.sqrt(v) * jr.normal(getkey(), (40_000, 2))
    loss = lambda a: eam.nn.denoising_score_matching(Bowl(a), x, sigma, T, key=jr.key(1))  # noqa: E731
    best = T / (v + sigma**2)
    slope = jax.jit(jax.grad(loss))
    assert jnp.abs(slope(jnp.asarray(best))) < 0.02
    assert slope(jnp.asarray(0.85 * best)) < -0.05 and slope(jnp.asarray(1.15 * best)) > 0.05
    modern = eam.ModernHopfield(jr.normal(getkey(), (4, 3)), 1.5)
    loss, slope = eqx.filter_value_and_grad(eam.nn.denoising_score_matching)(
        modern, jr.normal(getkey(), (2, 5, 3)), 0.3, key=getkey()
    )
    assert jnp.isfinite(loss) and jnp.abs(slope.patterns).max() > 0


def test_probability_flow_stores_more_than_storkey_and_the_pseudo_inverse():
    D, K = 32, 38  # more patterns than neurons
    X = patterns(8, K, D)
    train = optax.adam(0.02)

    def loss(W):
        W = 0.5 * (W + W.T) * (1 - jnp.eye(D))
        return eam.nn.probability_flow(eam.HopfieldNetwork(W), X)

    @jax.jit
    def fit(W):
        def step(at, _):
            W, moments = at
            move, moments = train.update(jax.grad(loss)(W), moments)
            return (W + move, moments), None

        return jax.lax.scan(step, (W, train.init(W)), length=600)[0][0]

    W = fit(jnp.zeros((D, D)))
    W = 0.5 * (W + W.T) * (1 - jnp.eye(D))

    def stored(W):
        """The share of patterns at which every flip raises the energy, and not by rounding alone."""
        energy = jax.vmap(eam.HopfieldNetwork(W).energy)
        rises = jnp.stack([energy(X.at[:, i].multiply(-1)) - energy(X) for i in range(D)])
        return float((rises.min(axis=0) > 1e-3).mean())

    # The pseudo-inverse of so many patterns is the identity: without its diagonal, nothing.
    flow, storkey, inverse, hebb = map(stored, (W, eam.storkey(X), eam.pseudo_inverse(X), eam.hebbian(X)))
    others = stored(eam.hebbian(patterns(9, K, D)))
    assert flow > 0.9 and max(storkey, inverse, hebb, others) < 0.3, (flow, storkey, inverse, hebb, others)
