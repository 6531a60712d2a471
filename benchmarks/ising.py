"""Ising machines: tries per processor-second and energies reached, beside dwave-samplers if it is installed.

Graph files of the G-set are read from the folder that `ENERGYAM_GSET` names (G1.txt or G1.txt.gz, …); without
it a random graph of the same size stands in, whose best cut nobody knows. Seconds are processor seconds of
this process, without compilation, so runs beside other work can be compared.
"""

import importlib.util
import os
import pathlib
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam

CHAINS = 64
GRAPHS = {"G1": (800, 19176, 11624), "G22": (2000, 19990, 13359), "G39": (2000, 11778, 2408)}


def run(quick: bool) -> list[dict]:
    rows = []
    for n, sweeps in ((40, 5),) if quick else ((500, 1000), (2000, 2000)):
        rows += glass(n, sweeps)
    for name in ["G1"] if quick else GRAPHS:
        rows += cut(name, 3 if quick else 1500, small=quick)
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
    memory = eam.ising.max_cut(weights)
    found, seconds = timed(lambda key, s: eam.ising.minimize(memory, CHAINS, s, key=key), sweeps)
    row = {"case": label, "by": "energyam", "chains": CHAINS, "sweeps": sweeps}
    row |= speed(len(weights) * CHAINS * sweeps, seconds)
    rows = [row | reached(-found.energies, np.max) | {"best known": best}]
    peer = annealed_by_dwave(memory, 10, sweeps)
    return rows + ([{**rows[0], **peer[1], **reached(-peer[0], np.max)}] if peer else [])


def plant(n, ratio, sweeps):
    """Planted instances: the share of chains that end in the ground state."""
    instance = eam.ising.planted(n, round(ratio * n), key=jr.key(n))
    found, seconds = timed(lambda key, s: eam.ising.minimize(instance.memory, CHAINS, s, key=key), sweeps)
    hits = np.isclose(found.energies, instance.energy, rtol=1e-5).mean()
    row = {"case": f"planted {n}, {ratio} columns per neuron", "by": "energyam", "chains": CHAINS}
    row |= {"sweeps": sweeps} | speed(n * CHAINS * sweeps, seconds)
    return row | reached(np.asarray(found.energies) / n) | {"ground state": float(hits)}


def timed(search, sweeps):
    """What a search found, and the processor seconds of a call that is compiled already."""
    jax.block_until_ready(search(jr.key(0), 2))
    start = time.process_time()
    found = jax.block_until_ready(search(jr.key(1), sweeps))
    return found, time.process_time() - start


def speed(tries, seconds):
    return {"processor s": seconds, "tries per us": tries / seconds / 1e6}


def reached(values, best=np.min):
    return {"best": float(best(values)), "mean": float(np.mean(values)), "spread": float(np.std(values))}


def graph(name, small):
    """Weights of a graph with its name and best known cut; of a random one where the file is not there."""
    folder = pathlib.Path(os.environ.get("ENERGYAM_GSET", "."))
    found = [folder / f"{name}.txt{end}" for end in ("", ".gz") if (folder / f"{name}.txt{end}").exists()]
    if found and not small:
        return eam.ising.read_gset(found[0]), name, GRAPHS[name][2]
    n, m, _ = (40, 100, 0) if small else GRAPHS[name]
    pairs = np.stack(np.triu_indices(n, 1))
    chosen = pairs[:, np.random.default_rng(0).choice(pairs.shape[1], m, replace=False)]
    weights = np.zeros((n, n), np.float32)
    weights[chosen[0], chosen[1]] = weights[chosen[1], chosen[0]] = 1
    return jnp.asarray(weights), f"random, as large as {name}", "unknown"


def annealed_by_dwave(memory, reads, sweeps):
    """Energies of dwave-samplers' annealing with its own schedule, and what to show; None without it."""
    if not (importlib.util.find_spec("dimod") and importlib.util.find_spec("dwave")):
        return None
    from dwave.samplers import SimulatedAnnealingSampler

    model = eam.ising.to_bqm(memory)

    def anneal(s):
        start = time.process_time()
        samples = SimulatedAnnealingSampler().sample(model, num_reads=reads, num_sweeps=s, seed=1)
        return np.asarray(samples.record.energy), time.process_time() - start

    (_, set_up), (energies, seconds) = anneal(1), anneal(sweeps)
    shown = speed(len(model) * reads * sweeps, max(seconds - set_up, 1e-9)) | {"processor s": seconds}
    return energies, {"by": "dwave-samplers", "chains": reads} | shown
