"""Published memories in plain numpy, written from their papers, and what follows from an energy.

A state is a vector of labels here, also for units of several values: −1 and 1, 0 and 1, or 0 … q − 1.
Energies are sums over pairs and triples, in loops. Nothing is shared with the library.
"""

import itertools

import numpy as np


def all_states(num, values):
    """Every state of so many places, (len(values)^num, num)."""
    return np.array(list(itertools.product(values, repeat=num)))


def with_value(state, place, value):
    """A state with another value at one place."""
    state = state.copy()
    state[place] = value
    return state


def descend(energy, state, values, most_sweeps=100):
    """One place after another takes its best value, if that is better, until a sweep changes nothing."""
    for _ in range(most_sweeps):
        before = state
        for place in range(len(state)):
            energies = [energy(with_value(state, place, value)) for value in values]
            if min(energies) < energy(state) - 1e-9:
                state = with_value(state, place, values[int(np.argmin(energies))])
        if (state == before).all():
            return state
    raise AssertionError("the descent does not end")


def is_minimum(energy, state, values):
    """Whether no change of one place lowers the energy."""
    places = range(len(state))
    return all(energy(with_value(state, p, v)) >= energy(state) - 1e-9 for p in places for v in values)


def log_partition(energies, temperature):
    """log Σ exp(−E/T)."""
    return np.logaddexp.reduce(-energies / temperature)


def probabilities(energies, temperature):
    """exp(−E/T)/Z."""
    return np.exp(-energies / temperature - log_partition(energies, temperature))


def pseudo_likelihood(energy, states, values, temperature):
    """Minus the log-probability of every place given the others, summed; the mean over states."""
    total = 0.0
    for state in states:
        for place in range(len(state)):
            ways = np.array([energy(with_value(state, place, value)) for value in values])
            total += energy(state) / temperature + log_partition(ways, temperature)
    return total / len(states)


# ---- energies


def pair_energy(weights, bias, x):
    """−Σ_{i<j} W_ij x_i x_j − Σ_i b_i x_i."""
    pairs = itertools.combinations(range(len(x)), 2)
    return -sum(weights[i, j] * x[i] * x[j] for i, j in pairs) - sum(
        b * v for b, v in zip(bias, x, strict=True)
    )


def potts_energy(couplings, bias, labels):
    """−Σ_{i<j} J_ij(a_i, a_j) − Σ_i b_i(a_i), with J (N, q, N, q)."""
    pairs = itertools.combinations(range(len(labels)), 2)
    of_pairs = sum(couplings[i, labels[i], j, labels[j]] for i, j in pairs)
    return -of_pairs - sum(bias[i, a] for i, a in enumerate(labels))


def simplex_energy(weights, x):
    """−Σ w Π x_i over simplices: `weights` maps tuples of neurons to numbers."""
    return -sum(w * np.prod([x[i] for i in simplex]) for simplex, w in weights.items())


def two_layer_energy(weights, bias_of_rows, bias_of_columns, rows, columns):
    """−Σ_ij W_ij r_i c_j − Σ_i b_i r_i − Σ_j b_j c_j."""
    energy = -sum(b * v for b, v in zip(bias_of_rows, rows, strict=True))
    energy -= sum(b * v for b, v in zip(bias_of_columns, columns, strict=True))
    for i, j in itertools.product(range(len(rows)), range(len(columns))):
        energy -= weights[i, j] * rows[i] * columns[j]
    return energy


# ---- learning


def willshaw_weights(patterns):
    """Willshaw, Buneman & Longuet-Higgins 1969: a synapse is 1 if any pattern has both its ends active."""
    N = patterns.shape[1]
    weights = np.zeros((N, N))
    for pattern, i, j in itertools.product(patterns, range(N), range(N)):
        if i != j and pattern[i] == 1 and pattern[j] == 1:
            weights[i, j] = 1
    return weights


def tsodyks_feigelman_weights(patterns, activity):
    """Tsodyks & Feigelman 1988: Σ_μ (ξ_i − a)(ξ_j − a) / (a (1 − a) N)."""
    N = patterns.shape[1]
    weights = np.zeros((N, N))
    for pattern, i, j in itertools.product(patterns, range(N), range(N)):
        if i != j:
            weights[i, j] += (pattern[i] - activity) * (pattern[j] - activity)
    return weights / (activity * (1 - activity) * N)


def kanter_couplings(patterns, q):
    """Kanter 1988: Σ_μ (q δ(a, ξ_i) − 1)(q δ(b, ξ_j) − 1) / (q² N) for i ≠ j."""
    N = patterns.shape[1]
    couplings = np.zeros((N, q, N, q))
    for i, a, j, b in itertools.product(range(N), range(q), range(N), range(q)):
        if i != j:
            for pattern in patterns:
                couplings[i, a, j, b] += (
                    (q * (pattern[i] == a) - 1) * (q * (pattern[j] == b) - 1) / (q**2 * N)
                )
    return couplings


def bcpnn_couplings(patterns, q):
    """Lansner & Ekeberg 1989: log p(a, b) / (p(a) p(b)), and log p(a), with one more, uniform pattern."""
    K, N = patterns.shape
    couplings, bias = np.zeros((N, q, N, q)), np.zeros((N, q))
    share = lambda hits, uniform: (np.sum(hits) + uniform) / (K + 1)  # noqa: E731
    for i, a in itertools.product(range(N), range(q)):
        p_a = share(patterns[:, i] == a, 1 / q)
        bias[i, a] = np.log(p_a)
        for j, b in itertools.product(range(N), range(q)):
            p_b = share(patterns[:, j] == b, 1 / q)
            both = share((patterns[:, i] == a) & (patterns[:, j] == b), 1 / q**2)
            if i != j:
                couplings[i, a, j, b] = np.log(both / (p_a * p_b))
    return couplings, bias


def hebb_of_simplices(patterns, simplices):
    """Burns & Fukai 2023: Σ_μ Π ξ_i over the neurons of each simplex."""
    return {simplex: sum(np.prod(p[list(simplex)]) for p in patterns) for simplex in simplices}


# ---- dynamics of models that have no energy


def one_after_another(field, x, most_sweeps=100):
    """Neurons ±1 take the sign of their field, first to last; whether a sweep changed nothing in the end."""
    x = x.copy()
    for _ in range(most_sweeps):
        before = x.copy()
        for i in range(len(x)):
            f = field(x)[i]
            x[i] = x[i] if f == 0 else np.sign(f)
        if (x == before).all():
            return x, True
    return x, False


def resonate(product, codebooks, factors, all_at_once, steps):
    """Frady et al. 2020: a factor is the sign of what its codebook makes of the product without the others.

    `codebooks` and `factors` are lists; the factors go one after another, or all at once.
    """
    for _ in range(steps):
        before = list(factors)
        for f, codebook in enumerate(codebooks):
            seen = before if all_at_once else factors
            unbound = product * np.prod([s for g, s in enumerate(seen) if g != f], axis=0)
            drive = codebook.T @ (codebook @ unbound)
            factors = [
                np.where(drive == 0, s, np.sign(drive)) if g == f else s for g, s in enumerate(factors)
            ]
    return factors


def integrate(weights, bias, rates, rate, steps):
    """Hahnloser et al. 2000: ds/dt = −s + max(W s + b, 0), by Euler's steps."""
    for _ in range(steps):
        rates = rates + rate * (-rates + np.maximum(weights @ rates + bias, 0))
    return rates


def softmax_steps(couplings, bias, units, steps):
    """Graded units (N, q): each is the softmax of what the units drive, all at once."""
    for _ in range(steps):
        drive = np.einsum("iajb,jb->ia", couplings, units) + bias
        units = np.exp(drive - drive.max(axis=1, keepdims=True))
        units = units / units.sum(axis=1, keepdims=True)
    return units


def kernel_dual(patterns, kernel):
    """Iatropoulos, Brea & Gerstner 2022, without noise: α with Σ_ν k(ξ_μ, ξ_ν) α_ν = ξ_μ, (K, N)."""
    gram = np.array([[kernel(one, other) for other in patterns] for one in patterns])
    return np.linalg.solve(gram, patterns.astype(float))


def inhibition(N, edges, along=-0.75, elsewhere=-1.5):
    """Morrison & Curto 2019: neurons inhibit one another, weakly along the edges (from, to) of a graph."""
    weights = np.full((N, N), elsewhere)
    for source, target in edges:
        weights[target, source] = along
    np.fill_diagonal(weights, 0)
    return weights
