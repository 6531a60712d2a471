"""Sampling: tries per processor-second of heat bath, against chains, neurons and temperature, beside peers.

A try draws one neuron of one chain anew. Seconds are processor seconds of this process, without
compilation, so runs beside other work can be compared. The floors: descent (`Asynchronous`) over as many
tries, and a plain scan of ten lines that reads the memory's energy alone. Peers are asked if they are
installed: dwave-samplers, openjij and simulated-bifurcation on a dense spin glass, thrml on a square lattice
(where it should win).
"""

import importlib.util
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam

MEMORIES = {
    "CHN": lambda X: eam.CHN(X),
    "polynomial 3": lambda X: eam.PolynomialDenseAM(X, 3),
    "exponential": lambda X: eam.ExponentialDenseAM(X, 0.5),
}


class Powers(eam.AbstractSeparation):
    """A user's own potential, of which nothing is declared."""

    def potential(self, similarities):
        return 0.1 * jnp.sum(jnp.abs(similarities) ** 1.5)


class Alone(eqx.Module):
    """The same as nothing but an energy."""

    patterns: jax.Array

    def energy(self, x):
        return -Powers().potential(self.patterns @ x)


def run(quick: bool) -> list[dict]:
    rows = []
    sizes = ((40, 5),) if quick else ((100, 200), (500, 50), (2000, 10), (5000, 4))
    for D, sweeps in sizes:
        for chains in (2,) if quick else (1, 64) if D == 5000 else (1, 64, 256):
            rows.append(glass(D, chains, max(2, sweeps * 64 // max(chains, 16))))
    rows += at_temperatures(*((40, (1.0,), 3) if quick else (1000, (8.0, 1.0, 0.4, 0.25, 0.17, 0.12), 30)))
    for name in MEMORIES:
        rows += beside_descent(name, *((3, 20, 2, 2) if quick else (50, 500, 64, 10)))
    rows += own_potential(*((3, 12, 2, 2) if quick else (20, 100, 64, 20)))
    return rows + peers(20 if quick else 500, 5 if quick else 200)


def glass(D, chains, sweeps):
    """Heat bath on a dense spin glass at T = .5."""
    memory = eam.ising.sherrington_kirkpatrick(D, key=jr.key(D))
    result, seconds = sampled(memory, eam.HeatBath(0.5), D, chains, sweeps)
    row = {"case": f"SK {D}", "by": "HeatBath", "chains": chains, "sweeps": sweeps, "T": 0.5}
    return row | speed(D * chains * sweeps, seconds) | {"acceptance": float(result.acceptance.mean())}


def at_temperatures(D, temperatures, sweeps):
    """Blocks, for 64 chains and for one, beside fields carried from flip to flip, from hot to cold."""
    memory = eam.ising.sherrington_kirkpatrick(D, key=jr.key(D))
    lowest = eam.ising.minimize(memory, 64, 200 if D > 100 else 5, key=jr.key(2)).state
    rows = []
    for T in temperatures:
        row = {"case": f"SK {D}", "sweeps": sweeps, "T": T}
        for chains in (64, 1):
            start = jnp.tile(lowest, (chains, 1))
            result, seconds = sampled(memory, eam.HeatBath(T), D, chains, sweeps, start)
            found = {"acceptance": float(result.acceptance.mean())} | speed(D * chains * sweeps, seconds)
            rows.append(row | {"by": "HeatBath, blocks", "chains": chains} | found)
        carry = lambda T=T: carried_fields(memory.weights, lowest, jnp.asarray(T), sweeps, jr.key(3))  # noqa: E731
        (_, flips), seconds = timed(carry)
        found = {"acceptance": float(flips) / (D * sweeps)} | speed(D * sweeps, seconds)
        rows.append(row | {"by": "carried fields", "chains": 1} | found)
    return rows


@eqx.filter_jit
def carried_fields(weights, start, T, sweeps, key):
    """One chain that keeps its fields: nothing but a number per try, and D multiply-adds per flip taken."""
    D = start.size

    def try_one(at, tried):
        x, field, flips = at
        i, threshold = tried
        falls = -2 * x[i] * field[i] > threshold
        take = lambda: (x.at[i].multiply(-1), field - 2 * x[i] * weights[i])  # noqa: E731
        x, field = jax.lax.cond(falls, take, lambda: (x, field))
        return (x, field, flips + falls), None

    def sweep(at, key):
        of_order, of_noise = jr.split(key)
        tried = jr.permutation(of_order, D), T * jr.logistic(of_noise, (D,))
        return jax.lax.scan(try_one, at, tried)[0], None

    end, _ = jax.lax.scan(sweep, (start, start @ weights, 0), jr.split(key, sweeps))
    return end[0], end[2]


def beside_descent(name, K, D, chains, sweeps):
    """Heat bath beside descent on a memory: sweeps of noisy patterns, as warm as half their energy allows."""
    X = eam.datasets.random_patterns(K, D, key=jr.key(1))
    memory, start = MEMORIES[name](X), eam.datasets.flip_bits(X[:1], 0.2, key=jr.key(2))
    changes = jax.vmap(lambda x: memory.energy(x * 1.0))(X[0] * (1 - 2 * jnp.eye(D, dtype=int)))
    T = 0.2 * float((changes - memory.energy(X[0] * 1.0)).mean())
    start, rows = jnp.tile(start, (chains, 1)), []
    row = {"case": f"{name}, K {K}, D {D}", "chains": chains, "sweeps": sweeps}
    for by, rule in {"HeatBath": eam.HeatBath(T), "Metropolis": eam.Metropolis(T)}.items():
        call = lambda rule=rule: eam.sample(memory, start, rule, 1, key=jr.key(3), every=sweeps)  # noqa: E731
        result, seconds = timed(call)
        found = {"T": T, "acceptance": float(result.acceptance.mean())}
        rows.append(row | {"by": by} | speed(D * chains * sweeps, seconds) | found)
    descend = lambda: eam.recall(memory, start, max_steps=sweeps, key=jr.key(3), record=False)  # noqa: E731
    result, seconds = timed(descend)
    tries = float(D * chains * result.num_steps.max())
    return [*rows, row | {"by": "Asynchronous (descent)", "T": 0.0} | speed(tries, seconds)]


def own_potential(K, D, chains, sweeps):
    """A potential with nothing declared, and an energy alone, beside the scan that anybody would write."""
    X, T, rows = eam.datasets.random_patterns(K, D, key=jr.key(1)), 4.0, []
    memories = {"potential alone": eam.DenseAM(X, Powers(), eam.Binary()), "energy alone": Alone(X * 1.0)}
    row = {"case": f"own potential, K {K}, D {D}", "chains": chains, "sweeps": sweeps, "T": T}
    for name, memory in memories.items():
        result, seconds = sampled(memory, eam.HeatBath(T), D, chains, sweeps)
        energy = {"mean": float(result.energies.mean())}
        rows.append(row | {"by": f"HeatBath, {name}"} | speed(D * chains * sweeps, seconds) | energy)
    start = jr.rademacher(jr.key(1), (chains, D), dtype=float)
    ends, seconds = timed(lambda: plain_scan(memory, start, T, sweeps, jr.key(2)))
    energy = {"mean": float(jax.vmap(memory.energy)(ends).mean())}
    return [*rows, row | {"by": "plain scan"} | speed(D * chains * sweeps, seconds) | energy]


@eqx.filter_jit
def plain_scan(memory, start, T, sweeps, key):
    """A heat bath in ten lines, by differences of energies."""

    def try_one(at, tried):
        x, energy = at
        i, threshold = tried
        flipped = x.at[i].multiply(-1)
        other = memory.energy(flipped)
        falls = energy - other > threshold
        return (jnp.where(falls, flipped, x), jnp.where(falls, other, energy)), None

    def sweep(at, key):
        tried = jr.permutation(key, start.shape[1]), T * jr.logistic(jr.fold_in(key, 1), start.shape[1:])
        return jax.lax.scan(try_one, at, tried)[0], None

    def chain(x, key):
        return jax.lax.scan(sweep, (x, memory.energy(x)), jr.split(key, sweeps))[0][0]

    return jax.vmap(chain)(start, jr.split(key, len(start)))


def sampled(memory, rule, D, chains, sweeps, start=None):
    start = jr.rademacher(jr.key(1), (chains, D), dtype="int8") if start is None else start
    return timed(lambda: eam.sample(memory, start, rule, 1, key=jr.key(2), every=sweeps))


def timed(call):
    """What a call gives, and its processor seconds once it is compiled."""
    jax.block_until_ready(call())
    start = time.process_time()
    return jax.block_until_ready(call()), time.process_time() - start


def speed(tries, seconds):
    return {"processor s": seconds, "tries per us": tries / max(seconds, 1e-9) / 1e6}


def peers(D, sweeps):
    """Annealing of a dense spin glass by each peer that is installed, and a lattice by thrml."""
    known = {"dwave": by_dwave, "openjij": by_openjij, "simulated_bifurcation": by_bifurcation}
    rows, memory = [], eam.ising.sherrington_kirkpatrick(D, key=jr.key(D))
    found, seconds = timed(lambda: eam.ising.minimize(memory, 64, sweeps, key=jr.key(1)))
    energies = {"energyam": (np.asarray(found.energies), 64, seconds)}
    for module, search in known.items():
        if importlib.util.find_spec(module):
            energies[module] = search(memory, sweeps)
    for by, (reached, chains, seconds) in energies.items():
        row = {"case": f"annealed SK {D}", "by": by, "chains": chains, "sweeps": sweeps}
        reach = {"best": float(np.min(reached)) / D, "mean": float(np.mean(reached)) / D}
        shown = speed(D * chains * sweeps, seconds) if seconds > 0 else {"processor s": "hidden by set-up"}
        rows.append(row | shown | reach)
    return rows + (lattice(8 if D < 100 else 64, sweeps) if importlib.util.find_spec("thrml") else [])


def by_dwave(memory, sweeps, reads=16):
    from dwave.samplers import SimulatedAnnealingSampler

    model = eam.ising.to_bqm(memory)
    sampler = SimulatedAnnealingSampler()
    return annealed(lambda s: sampler.sample(model, num_reads=reads, num_sweeps=s, seed=1), sweeps)


def by_openjij(memory, sweeps, reads=16):
    import openjij

    h = dict.fromkeys(range(memory.num_neurons), 0.0)
    pairs = zip(*np.triu_indices(memory.num_neurons, 1), strict=True)
    J = {(int(i), int(j)): -float(memory.weights[i, j]) for i, j in pairs}
    sampler = openjij.SASampler()
    return annealed(lambda s: sampler.sample_ising(h, J, num_reads=reads, num_sweeps=s, seed=1), sweeps)


def annealed(search, sweeps):
    """The energies, the number of reads, and the processor seconds beyond those of one sweep's set-up."""
    spent = []
    for s in (1, sweeps):
        start = time.process_time()
        energies = np.asarray(search(s).record.energy)
        spent.append(time.process_time() - start)
    return energies, len(energies), spent[1] - spent[0]


def by_bifurcation(memory, sweeps, agents=64):
    import simulated_bifurcation
    import torch

    J = torch.tensor(np.array(memory.weights))
    start = time.process_time()
    _, values = simulated_bifurcation.minimize(
        -0.5 * J, domain="spin", agents=agents, max_steps=sweeps, best_only=False, verbose=False
    )
    return values.numpy(), agents, time.process_time() - start


def lattice(side, sweeps):
    """A square lattice at T = 2.5, four couplings a neuron: ours is dense, thrml's knows the graph."""
    import thrml
    from thrml import models

    nodes = [thrml.SpinNode() for _ in range(side**2)]
    at = np.arange(side**2).reshape(side, side)
    next_to = [np.roll(at, -1, axis).ravel() for axis in (0, 1)]
    edges = [(int(a), int(b)) for other in next_to for a, b in zip(at.ravel(), other, strict=True)]
    W = np.zeros((side**2, side**2), np.float32)
    for a, b in edges:
        W[a, b] = W[b, a] = 1
    row = {"case": f"lattice {side} × {side}", "chains": 64, "sweeps": sweeps, "T": 2.5}
    result, seconds = sampled(eam.HopfieldNetwork(W), eam.HeatBath(2.5), side**2, 64, sweeps)
    tries, mean = side**2 * 64 * sweeps, float(result.energies.mean()) / side**2
    rows = [row | {"by": "HeatBath"} | speed(tries, seconds) | {"mean": mean}]

    ones = jnp.ones(len(edges))
    pairs = [(nodes[a], nodes[b]) for a, b in edges]
    model = models.IsingEBM(nodes, pairs, jnp.zeros(side**2), ones, jnp.asarray(1 / 2.5))
    colour = (np.add.outer(np.arange(side), np.arange(side)) % 2).ravel()
    blocks = [thrml.Block([n for n, c in zip(nodes, colour, strict=True) if c == k]) for k in (0, 1)]
    program = models.IsingSamplingProgram(model, blocks, clamped_blocks=[])
    schedule = thrml.SamplingSchedule(n_warmup=sweeps - 1, n_samples=1, steps_per_sample=1)

    @jax.jit
    def chain(key):
        start = models.hinton_init(key, model, blocks, ())
        return thrml.sample_states(key, program, schedule, start, [], [thrml.Block(nodes)])[0][-1]

    ends, seconds = timed(lambda: jax.vmap(chain)(jr.split(jr.key(1), 64)))
    x = jnp.where(ends, 1.0, -1.0)
    mean = float(-0.5 * jnp.einsum("ci,ij,cj->c", x, W, x).mean()) / side**2
    return [*rows, row | {"by": "thrml"} | speed(tries, seconds) | {"mean": mean}]
