"""Ising machines: tries per second and energies reached, beside dwave-samplers if it is installed.

Graph files of the G-set are read from the folder that `ENERGYAM_GSET` names (G1.txt or G1.txt.gz, …); without
it a random graph of the same size stands in, whose best cut nobody knows. Seconds are without compilation;
those of the processor can be compared between runs beside other work, those of the wall on a quiet machine.
"""

import importlib.util
import math
import os
import pathlib
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.peak import peak_mb

ROOT = pathlib.Path(__file__).parents[1]
CHAINS = 64
GRAPHS = {"G1": (800, 19176, 11624), "G22": (2000, 19990, 13359), "G39": (2000, 11778, 2408)}


def run(quick: bool) -> list[dict]:
    rows = []
    for n, sweeps in ((40, 5),) if quick else ((500, 1000), (2000, 2000)):
        rows += glass(n, sweeps)
    for side in (8,) if quick else (32, 64, 128, 256, 512):
        rows += lattice(side, 5 if quick else max(20, 2 * 10**6 // side**2))
    for name in ["G1"] if quick else GRAPHS:
        rows += cut(name, 3 if quick else 1500, small=quick)
    rows += memory_rows(quick)
    for n, ratio in ((24, 1.6),) if quick else ((200, 0.7), (200, 1.6), (500, 1.6), (1000, 1.6)):
        rows.append(plant(n, ratio, 20 if quick else 1000))
    return rows


def glass(n, sweeps):
    """Dense spin glasses: best and mean energy per spin."""
    memory = eam.ising.sherrington_kirkpatrick(n, key=jr.key(n))
    found, seconds = timed(lambda key, s: eam.ising.minimize(memory, CHAINS, s, key=key), sweeps)
    row = {"case": f"SK {n}", "by": "energyam", "chains": CHAINS, "sweeps": sweeps}
    row |= speed(n * CHAINS * sweeps, seconds)
    rows = [row | reached(np.asarray(found.energies) / n)]
    peer = annealed_by_dwave(memory, 4, min(sweeps, 200))
    return rows + ([{**row, "sweeps": min(sweeps, 200), **peer[1], **reached(peer[0] / n)}] if peer else [])


def cut(name, sweeps, small):
    """Max-Cut of sparse graphs: largest and mean cut."""
    weights, label, best = graph(name, small)
    memory, total = eam.HopfieldNetwork(-weights), float(jnp.sum(weights)) / 2
    found, seconds = timed(lambda key, s: eam.ising.minimize(memory, CHAINS, s, key=key), sweeps)
    row = {"case": label, "by": "energyam", "chains": CHAINS, "sweeps": sweeps}
    row |= speed(len(weights) * CHAINS * sweeps, seconds)
    to_cuts = lambda energies: (total - np.asarray(energies)) / 2  # noqa: E731
    rows = [row | reached(to_cuts(found.energies), np.max) | {"best known": best}]
    rows.append({**rows[0], **cut_of_edges(weights, sweeps, to_cuts)})
    peer = annealed_by_dwave(memory, 10, sweeps)
    return rows + ([{**rows[0], **peer[1], **reached(to_cuts(peer[0]), np.max)}] if peer else [])


def cut_of_edges(weights, sweeps, to_cuts):
    """The same search in a network of edges."""
    edges = np.stack(np.nonzero(np.triu(weights, 1)), axis=1)
    memory = eam.SparseNetwork(edges, -np.asarray(weights)[tuple(edges.T)], dim=len(weights))
    found, seconds = timed(lambda key, s: eam.ising.minimize(memory, CHAINS, s, key=key), sweeps)
    shown = speed(len(weights) * CHAINS * sweeps, seconds)
    return {"by": "energyam, edges"} | shown | reached(to_cuts(found.energies), np.max)


def lattice(side, sweeps):
    """The square lattice at its critical temperature: tries of 64 chains, as edges, dense, and by thrml."""
    D, edges = side**2, square(side)
    ones, start = np.ones(len(edges)), jr.rademacher(jr.key(0), (CHAINS, D), dtype="int8")
    networks = {"energyam, edges": eam.SparseNetwork(edges, ones)}
    if D <= 4096:
        dense = np.zeros((D, D), np.float32)
        dense[tuple(edges.T)] = 1
        networks["energyam"] = eam.HopfieldNetwork(dense + dense.T)

    def row(by, run, sweeps):
        _, seconds = timed(run, sweeps)
        case = {
            "case": f"lattice {side} × {side}",
            "by": by,
            "chains": CHAINS,
            "sweeps": sweeps,
            "neurons": D,
        }
        return case | speed(D * CHAINS * sweeps, seconds)

    rows = []
    for by, memory in networks.items():

        def chains(key, s, memory=memory):
            return eam.sample(memory, start, eam.HeatBath(2.27), 1, key=key, every=s).states

        rows.append(row(by, chains, sweeps if by != "energyam" else min(sweeps, 20)))
    peer = lattice_of_thrml(side, edges, sweeps)
    return [*rows, row("thrml", peer, sweeps)] if peer else rows


def square(side, other=None):
    """The edges of a rectangular lattice, by default a square one, closed in both directions."""
    at = np.arange(side * (other or side)).reshape(side, -1)
    return np.concatenate([np.stack([at, np.roll(at, -1, axis)], -1).reshape(-1, 2) for axis in (0, 1)])


def lattice_of_thrml(side, edges, sweeps):
    """Sweeps of the same lattice by thrml's Gibbs sampler of two blocks; None without it."""
    if not importlib.util.find_spec("thrml"):
        return None
    import thrml
    from thrml.models import IsingEBM, IsingSamplingProgram, hinton_init

    spins = [thrml.SpinNode() for _ in range(side**2)]
    pairs = [(spins[i], spins[j]) for i, j in edges]
    model = IsingEBM(spins, pairs, jnp.zeros(side**2), jnp.ones(len(edges)), jnp.asarray(1 / 2.27))
    odd = np.add(*np.indices((side, side))).reshape(-1) % 2
    colours = [thrml.Block([spin for spin, o in zip(spins, odd, strict=True) if o == k]) for k in (0, 1)]
    program = IsingSamplingProgram(model, colours, clamped_blocks=[])
    start = hinton_init(jr.key(0), model, colours, (CHAINS,))

    @jax.jit
    def run(key, _):  # the number of sweeps is compiled in
        schedule = thrml.SamplingSchedule(n_warmup=sweeps, n_samples=1, steps_per_sample=1)
        one = lambda key, start: thrml.sample_states(  # noqa: E731
            key, program, schedule, start, [], [thrml.Block(spins)]
        )
        return jax.vmap(one)(jr.split(key, CHAINS), start)

    return run


def figure(rows):
    """Tries per µs of wall time against the neurons of a lattice."""
    import matplotlib.pyplot as plt

    made, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for by in dict.fromkeys(row["by"] for row in rows if "neurons" in row):
        own = [row for row in rows if "neurons" in row and row["by"] == by]
        axes.plot([row["neurons"] for row in own], [row["tries per us"] for row in own], "o-", label=by)
    axes.set(xscale="log", yscale="log", xlabel="neurons D, four edges each", ylabel="tries per µs")
    axes.legend()
    return made


def plant(n, ratio, sweeps):
    """Planted instances: the share of chains that end in the ground state."""
    instance = eam.ising.planted(n, round(ratio * n), key=jr.key(n))
    found, seconds = timed(lambda key, s: eam.ising.minimize(instance.memory, CHAINS, s, key=key), sweeps)
    hits = np.isclose(found.energies, instance.energy, rtol=1e-5).mean()
    row = {"case": f"planted {n}, {ratio} columns per neuron", "by": "energyam", "chains": CHAINS}
    row |= {"sweeps": sweeps} | speed(n * CHAINS * sweeps, seconds)
    return row | reached(np.asarray(found.energies) / n) | {"ground state": float(hits)}


def timed(search, sweeps):
    """What a search found, and the processor and wall seconds of a call that is compiled already."""
    jax.block_until_ready(search(jr.key(0), 2))
    start = time.process_time(), time.perf_counter()
    found = jax.block_until_ready(search(jr.key(1), sweeps))
    return found, (time.process_time() - start[0], time.perf_counter() - start[1])


def speed(tries, seconds):
    processor, wall = seconds
    shown = {"processor s": processor, "tries per processor us": tries / processor / 1e6}
    return shown | {"wall s": wall, "tries per us": tries / wall / 1e6}


def reached(values, best=np.min):
    return {"best": float(best(values)), "mean": float(np.mean(values)), "spread": float(np.std(values))}


def graph(name, small):
    """Weights of a graph with its name and best known cut; of a random one where the file is not there."""
    found = file_of(name)
    if found and not small:
        return eam.ising.read_gset(found), name, GRAPHS[name][2]
    n, m, _ = (40, 100, 0) if small else GRAPHS[name]
    return jnp.asarray(random_graph(n, m)), f"random, as large as {name}", "unknown"


def random_graph(n, m):
    """The weights of a graph of m edges among n neurons."""
    chosen = np.stack(np.triu_indices(n, 1))
    chosen = chosen[:, np.random.default_rng(0).choice(chosen.shape[1], m, replace=False)]
    weights = np.zeros((n, n), np.float32)
    weights[chosen[0], chosen[1]] = weights[chosen[1], chosen[0]] = 1
    return weights


def file_of(name):
    """The file of a graph of the G-set; None where it isn't there."""
    folder = pathlib.Path(os.environ.get("ENERGYAM_GSET", "."))
    found = [folder / f"{name}.txt{end}" for end in ("", ".gz")]
    return next((path for path in found if path.exists()), None)


def annealed_by_dwave(memory, reads, sweeps):
    """Energies of dwave-samplers' annealing with its own schedule, and what to show; None without it."""
    if not (importlib.util.find_spec("dimod") and importlib.util.find_spec("dwave")):
        return None
    from dwave.samplers import SimulatedAnnealingSampler

    model = eam.ising.to_bqm(memory)
    samples = SimulatedAnnealingSampler().sample(model, num_reads=reads, num_sweeps=sweeps, seed=1)
    seconds = samples.info["timing"]["sampling_ns"] / 1e9  # of one thread, without reading the model
    shown = speed(len(model) * reads * sweeps, (seconds, seconds))
    return np.asarray(samples.record.energy), {"by": "dwave-samplers", "chains": reads} | shown


def memory_rows(quick):
    """What large graphs need beyond a process that has run one small recall, each in a process of its own."""
    large = ("G55", "torus 100 × 200", "lattice 160 × 160", "lattice 1000 × 1000")
    rows = []
    for case in ("lattice 8 × 8",) if quick else large:
        program = f"from benchmarks.ising import needed; needed({case!r}, {2 if quick else 20})"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
        )
        row = {"case": f"memory of {case}", "by": "energyam, edges", "chains": CHAINS, "sweeps": 20}
        rows.append(row | {"MB beyond a small recall": float(done.stdout)})
    return rows


def needed(case: str, sweeps: int) -> None:
    """Print the MB by which the largest size of this process grows in a search, or a run at T = 2.27."""
    jax.block_until_ready(eam.recall(eam.CHN(np.ones((1, 20))), jnp.ones(20), key=jr.key(0)).state)
    before = peak_mb()
    if case in GRAPHS or case == "G55":
        problem = eam.ising.max_cut(file_of(case) or random_graph(5000, 12498))
        eam.ising.minimize(problem, CHAINS, sweeps, key=jr.key(0))
    else:
        sides = [int(side) for side in case.split() if side.isdigit()]
        edges = square(*sides)
        signs = (
            np.random.default_rng(0).choice([-1, 1], len(edges)) if "torus" in case else np.ones(len(edges))
        )
        memory = eam.SparseNetwork(edges, signs.astype(np.float32))
        if "torus" in case:
            eam.ising.minimize(memory, CHAINS, sweeps, key=jr.key(0))
        else:
            start = np.ones((CHAINS, math.prod(sides)), np.int8)
            jax.block_until_ready(
                eam.sample(memory, start, eam.HeatBath(2.27), 1, key=jr.key(0), every=sweeps).states
            )
    print(peak_mb() - before)
