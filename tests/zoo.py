"""The memories, under each kind of neurons that they allow, and separations that table-driven tests run
over."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam


class Cosh(eam.AbstractSeparation):
    """A user's own separation, from its potential alone."""

    width: jax.Array

    def potential(self, similarities):
        return jnp.sum(jnp.cosh(similarities / self.width))


class Agreement(eam.AbstractSimilarity):
    """A user's own similarity, from that of one pair alone: early neurons count for more."""

    def of(self, pattern, state):
        return jnp.sum(pattern * state / (1 + 0.2 * jnp.arange(state.size, dtype=float)))


class Biased(eqx.Module):
    """A user's own memory, from its energy alone: powers of overlaps in a field."""

    patterns: jax.Array
    field: jax.Array
    neurons: eam.AbstractNeurons = eam.Binary()

    @property
    def state_shape(self):
        return self.field.shape

    def energy(self, state):
        state = state.astype(self.field.dtype)
        return -jnp.sum(jnp.abs(self.patterns @ state) ** 1.5) - self.field @ state


class Votes(eqx.Module):
    """A user's own Potts memory: how strongly units (N, q) agree with labels, to the power 3/2."""

    templates: jax.Array  # (K, N, q)
    neurons: eam.AbstractNeurons = eam.Categorical(3)

    @property
    def state_shape(self):
        return self.templates.shape[1:]

    def energy(self, state):
        return -jnp.sum(jnp.abs(jnp.tensordot(self.templates, state, 2)) ** 1.5)


class Layered(eqx.Module):
    """A user's own state of three layers: ±1 beside 0/1 beside units of three values, not linear in them."""

    weights: jax.Array  # (all neurons, all neurons)
    sizes: tuple[int, int, int] = eqx.field(static=True)  # signs, bits, units

    @property
    def state_shape(self):
        signs, bits, units = self.sizes
        return {"signs": (signs,), "bits": (bits,), "units": (units, 3)}

    @property
    def neurons(self):
        return {"signs": eam.Binary(), "bits": eam.ZeroOne(), "units": eam.Categorical(3)}

    def energy(self, state):
        all_ = jnp.concatenate([state["signs"], state["bits"], state["units"].reshape(-1)])
        return -0.5 * all_ @ self.weights @ all_ - jnp.sum(jnp.tanh(self.weights @ all_) ** 2)


BINARY = {
    "chn": lambda X: eam.CHN(X),
    "polynomial_3": lambda X: eam.PolynomialDenseAM(X, 3),
    "polynomial_4_plain": lambda X: eam.PolynomialDenseAM(X, 4, rectified=False),
    "polynomial_2.5": lambda X: eam.PolynomialDenseAM(X, 2.5),
    "exponential": lambda X: eam.ExponentialDenseAM(X, 0.7),
    "relu": lambda X: eam.DenseAM(X, eam.ReLU(), eam.Binary()),
    "topk": lambda X: eam.DenseAM(X, eam.TopK(eam.LogSumExp(0.5), 2), eam.Binary()),
    "product": lambda X: eam.ProductDenseAM(
        [eam.ExponentialDenseAM(X[:, :3], 0.7), eam.ExponentialDenseAM(X[:, 3:], 0.7)]
    ),
    "hopfield": lambda X: eam.HopfieldNetwork(eam.hebbian(X)),
}

# Beyond whole numbers, closed forms and what the library declares.
OWN_BINARY = {
    "sdm": lambda X: eam.PatternSDM(X, 3),
    "hopfield_biased": lambda X: eam.HopfieldNetwork(eam.hebbian(X), ramp(X)),
    "sparse": lambda X: ring(X, eam.Binary()),
    "float_patterns": lambda X: eam.DenseAM(
        X.astype(float) + ramp(X)[None], eam.LogSumExp(0.6), eam.Binary()
    ),
    "float_quadratic": lambda X: eam.DenseAM(X.astype(float) + ramp(X)[None], eam.Quadratic(), eam.Binary()),
    "distances": lambda X: eam.DenseAM(X, eam.LogSumExp(0.7), eam.Binary(), eam.NegativeDistance()),
    "entmax": lambda X: eam.DenseAM(X, eam.Entmax(0.3, 1.5), eam.Binary()),
    "subsets": lambda X: eam.DenseAM(X, eam.KSubsets(0.2, 2), eam.Binary()),
    "cosine": lambda X: eam.DenseAM(X, eam.LogSumExp(9.0), eam.Binary(), eam.Cosine()),
    "compact": lambda X: eam.DenseAM(X, eam.LogSumReLU(1 / 99), eam.Binary(), eam.NegativeDistance()),
    "own_separation": lambda X: eam.DenseAM(X, Cosh(jnp.array(3.0, float)), eam.Binary()),
    "own_similarity": lambda X: eam.DenseAM(X.astype(float), eam.LogSumExp(0.8), eam.Binary(), Agreement()),
    "energy_alone": lambda X: Biased(X.astype(float), ramp(X)),
}


def under_zero_one(separation, similarity=None, as_patterns=lambda X: X):
    """A memory of 0/1 states, from patterns with whole entries."""
    return lambda X: eam.DenseAM(as_patterns(X), separation(X), eam.ZeroOne(), similarity)


def as_floats(X):
    """Patterns that are no whole numbers."""
    return X.astype(float) + ramp(X)[None]


# States 0/1; patterns ±1, 0/1, or −1, 0, 1.
ZERO_ONE = {
    "quadratic": under_zero_one(lambda X: eam.Quadratic()),
    "relu": under_zero_one(lambda X: eam.ReLU()),
    "polynomial_3": under_zero_one(lambda X: eam.Polynomial(3)),
    "polynomial_4_plain": under_zero_one(lambda X: eam.Polynomial(4, rectified=False)),
    "polynomial_2.5": under_zero_one(lambda X: eam.Polynomial(2.5)),
    "exponential": under_zero_one(lambda X: eam.LogSumExp(0.7, divided=False)),
    "steep": under_zero_one(lambda X: eam.LogSumExp(9.0)),
    "sdm": under_zero_one(lambda X: eam.CircleIntersection(X.shape[1], 3)),
    "topk": under_zero_one(lambda X: eam.TopK(eam.LogSumExp(0.5), 2)),
    "entmax": under_zero_one(lambda X: eam.Entmax(0.3, 1.5)),
    "subsets": under_zero_one(lambda X: eam.KSubsets(0.2, 2)),
    "own_separation": under_zero_one(lambda X: Cosh(jnp.array(3.0, float))),
    "float_patterns": under_zero_one(lambda X: eam.LogSumExp(0.6), None, as_floats),
    "float_quadratic": under_zero_one(lambda X: eam.Quadratic(), None, as_floats),
    "distances": under_zero_one(lambda X: eam.LogSumExp(0.7), eam.NegativeDistance()),
    "cosine": under_zero_one(lambda X: eam.LogSumExp(9.0), eam.Cosine()),
    "own_similarity": under_zero_one(lambda X: eam.LogSumExp(0.8), Agreement(), lambda X: X.astype(float)),
    "energy_alone": lambda X: Biased(X.astype(float), ramp(X), eam.ZeroOne()),
    "hopfield": lambda X: eam.HopfieldNetwork(network(X), neurons=eam.ZeroOne()),
    "hopfield_biased": lambda X: eam.HopfieldNetwork(network(X, True), ramp(X), eam.ZeroOne()),
    "sparse": lambda X: ring(X, eam.ZeroOne()),
}

# Units of three values, one after another: patterns of any whole entries, whose length is a multiple of 3.
POTTS = {
    "potts_hopfield": lambda X: eam.HopfieldNetwork(network(X, True), ramp(X), eam.Categorical(3)),
    "potts_exponential": lambda X: eam.DenseAM(X, eam.LogSumExp(0.7, divided=False), eam.Categorical(3)),
    "potts_polynomial": lambda X: eam.DenseAM(X, eam.Polynomial(3, rectified=False), eam.Categorical(3)),
    "potts_energy_alone": lambda X: Votes(as_floats(X).reshape(X.shape[0], -1, 3)),
}

CONTINUOUS = {
    "modern": lambda X: eam.ModernHopfield(X.astype(float), 0.8),
    "topk_modern": lambda X: eam.DenseAM(X.astype(float), eam.TopK(eam.LogSumExp(0.8), 3), eam.Continuous()),
    "entmax": lambda X: eam.DenseAM(X.astype(float), eam.Entmax(0.8, 1.5), eam.Continuous()),
    "subsets": lambda X: eam.DenseAM(X.astype(float), eam.KSubsets(0.8, 2), eam.Continuous()),
    "gaussian": lambda X: eam.GaussianDenseAM(X.astype(float), 0.8),
    "epanechnikov": lambda X: eam.EpanechnikovDenseAM(X.astype(float), 2 / 58),
    "hopfield_1984": lambda X: eam.DenseAM(X.astype(float), eam.Quadratic(), eam.Tanh(0.2)),
    "sphere": lambda X: eam.DenseAM(X.astype(float) / X.shape[1] ** 0.5, eam.LogSumExp(3.0), eam.Spherical()),
}

SEPARATIONS = {
    "quadratic": eam.Quadratic(),
    "relu": eam.ReLU(),
    "polynomial_1": eam.Polynomial(1),
    "polynomial_3": eam.Polynomial(3),
    "polynomial_3_plain": eam.Polynomial(3, rectified=False),
    "polynomial_6_plain": eam.Polynomial(6, rectified=False),
    "polynomial_2.5": eam.Polynomial(2.5),
    "logsumexp": eam.LogSumExp(0.3),
    "logsumexp_nats": eam.LogSumExp(0.3, divided=False),
    "entmax": eam.Entmax(0.3, 1.5),
    "entmax_2.5": eam.Entmax(0.3, 2.5),
    "subsets": eam.KSubsets(0.3, 3),
    "log_sum_relu": eam.LogSumReLU(0.3),
    "topk": eam.TopK(eam.LogSumExp(0.3), 3),
    "topk_plain": eam.TopK(eam.Polynomial(3, rectified=False), 3),
}


def ramp(X):
    """One real number for each neuron, from −½ to ½."""
    return jnp.linspace(-0.5, 0.5, X.shape[1])


def ring(X, neurons):
    """Hebb's couplings between each neuron and the next two, and a hub: a sparse network of four colours."""
    D = X.shape[1]
    edges = {(i, (i + k) % D) for i in range(D) for k in (1, 2)} | {(0, i) for i in range(1, D, 2)}
    edges = np.array(sorted({tuple(sorted(edge)) for edge in edges if edge[0] != edge[1]}))
    return eam.SparseNetwork(edges, network(X)[tuple(edges.T)], ramp(X), neurons)


def patterns(seed, K, D):
    """K random ±1 patterns of D neurons, int8."""
    return jr.rademacher(jr.key(seed), (K, D), dtype="int8")


def entries(seed, K, D, values):
    """K random patterns of D of some whole values, int8."""
    return jr.choice(jr.key(seed), jnp.array(values, "int8"), (K, D))


def network(X, diagonal=False):
    """Hebb's couplings of patterns of any entries, with or without the diagonal."""
    W = X.T.astype(float) @ X.astype(float) / X.shape[1]
    return W if diagonal else W * (1 - jnp.eye(len(W)))


def all_states(D):
    """All 2^D states of D neurons ±1, as floats (2^D, D)."""
    return 1 - 2 * ((jnp.arange(2**D)[:, None] >> jnp.arange(D)[None]) & 1).astype(float)
