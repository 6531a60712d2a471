"""Published memories, each as a user would write it: a few lines of the public contract."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

import energyam as eam


def willshaw(patterns, threshold):
    """The binary matrix memory; a neuron is active where at least `threshold` active ones reach it."""
    weights = (patterns.T @ patterns > 0) * (1.0 - jnp.eye(patterns.shape[1]))
    return eam.HopfieldNetwork(weights, jnp.full(len(weights), 0.5 - threshold), neurons=eam.ZeroOne())


def tsodyks_feigelman(patterns, activity, threshold):
    """Sparse patterns by their covariance."""
    centred = patterns - activity
    weights = centred.T @ centred / (activity * (1 - activity) * patterns.shape[1])
    weights = weights * (1 - jnp.eye(len(weights)))
    return eam.HopfieldNetwork(weights, jnp.full(len(weights), -threshold), neurons=eam.ZeroOne())


class Potts(eqx.Module):
    """N units of q values: −½ Σ J_ij(a, b) u_ia u_jb − Σ b_ia u_ia."""

    couplings: Array  # (N, q, N, q), none within a unit
    bias: Array  # (N, q)
    multilinear = True
    state_shape = property(lambda self: self.bias.shape)
    neurons = property(lambda self: eam.Categorical(self.bias.shape[1]))

    def energy(self, state):
        return -0.5 * jnp.einsum("ia,iajb,jb", state, self.couplings, state) - jnp.sum(self.bias * state)


def between_units(couplings):
    """Couplings (N, q, N, q) without those within a unit."""
    return couplings * (1 - jnp.eye(len(couplings)))[:, None, :, None]


def kanter(one_hot):
    """Patterns (K, N, q) by Hebb's rule for Potts units."""
    _, N, q = one_hot.shape
    centred = one_hot - 1 / q
    return Potts(between_units(jnp.einsum("kia,kjb->iajb", centred, centred)) / N, jnp.zeros((N, q)))


def log_odds(one_hot):
    """The couplings and biases of BCPNN, from patterns (K, N, q) and one more that is uniform."""
    K, _, q = one_hot.shape
    single = (one_hot.sum(0) + 1 / q) / (K + 1)
    both = (jnp.einsum("kia,kjb->iajb", one_hot, one_hot) + 1 / q**2) / (K + 1)
    return between_units(jnp.log(both / jnp.einsum("ia,jb->iajb", single, single))), jnp.log(single)


class ThreeSpin(eqx.Module):
    """−Σ_{i<j<k} J_ijk s_i s_j s_k."""

    couplings: Array  # (N, N, N), 0 unless i < j < k
    multilinear = True
    state_shape = property(lambda self: self.couplings.shape[:1])

    def energy(self, state):
        return -jnp.einsum("ijk,i,j,k", self.couplings, state, state, state)


class Simplicial(eqx.Module):
    """Edges (E, 2) and triangles (T, 3), with what patterns (K, N) teach them."""

    patterns: Array
    edges: Array
    triangles: Array
    multilinear = True
    state_shape = property(lambda self: self.patterns.shape[1:])

    def energy(self, state):
        products = lambda x, simplices: x[..., simplices].prod(axis=-1)  # noqa: E731
        learned = lambda simplices: products(self.patterns, simplices).sum(axis=0)  # noqa: E731
        return -sum(learned(s) @ products(state, s) for s in (self.edges, self.triangles))


class Bidirectional(eqx.Module):
    """Two layers ±1 that recall each other: −first · W second."""

    weights: Array
    multilinear = True
    neurons = eam.Binary()

    @property
    def state_shape(self):
        return {"first": self.weights.shape[:1], "second": self.weights.shape[1:]}

    def energy(self, state):
        return -state["first"] @ self.weights @ state["second"]


class Boltzmann(eqx.Module):
    """Hidden and visible units 0 and 1, of which the visible ones see each other too."""

    weights: Array  # hidden, visible
    within: Array  # visible, visible; 0 unless i < j
    bias: dict[str, Array]
    multilinear = True
    neurons = eam.ZeroOne()
    state_shape = property(lambda self: {name: bias.shape for name, bias in self.bias.items()})

    def energy(self, state):
        hidden, visible = state["hidden"], state["visible"]
        drive = hidden @ self.weights + visible @ self.within + self.bias["visible"]
        return -drive @ visible - self.bias["hidden"] @ hidden


class GradedUnits(eqx.Module):
    """BCPNN with graded units: each is the softmax of what all drive."""

    couplings: Array
    bias: Array
    state_shape = property(lambda self: self.bias.shape)
    neurons = eam.Softmax(1.0)

    def field(self, state):
        return jnp.einsum("iajb,jb->ia", self.couplings, state) + self.bias


class Asymmetric(eqx.Module):
    """Neurons ±1 with couplings that differ by direction."""

    weights: Array
    neurons = eam.Binary()

    def field(self, state):
        return self.weights @ state


class KernelMemory(eqx.Module):
    """Every neuron separates the patterns by a Gaussian kernel: Σ_μ α_μi exp(−‖x − ξ_μ‖² / 2w)."""

    patterns: Array
    dual: Array
    width: float
    neurons = eam.Binary()

    def field(self, state):
        return jnp.exp((self.patterns @ state - state.size) / self.width) @ self.dual


class Resonator(eqx.Module):
    """The factors of a product of ±1 vectors, each from its codebook (n, D)."""

    product: Array
    codebooks: dict[str, Array]
    neurons = eam.Binary()
    state_shape = property(lambda self: {name: self.product.shape for name in self.codebooks})

    def field(self, state):
        everything = self.product * jnp.prod(jnp.stack(list(state.values())), axis=0)
        unbound = {name: everything * factor for name, factor in state.items()}  # a factor is its own inverse
        return {name: (book @ unbound[name]) @ book for name, book in self.codebooks.items()}


class ThresholdLinear(eqx.Module):
    """ds/dt = −s + max(W s + b, 0)."""

    weights: Array
    bias: Array
    neurons = eam.Rectified()

    def field(self, state):
        return self.weights @ state + self.bias


WRITTEN = (
    *(willshaw, tsodyks_feigelman, Potts, kanter, log_odds, ThreeSpin, Simplicial, Bidirectional, Boltzmann),
    *(GradedUnits, Asymmetric, KernelMemory, Resonator, ThresholdLinear),
)
