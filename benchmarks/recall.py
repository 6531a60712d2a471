"""Recall of 1,024 glyphs: against a naive twin, bare matrix products, and the bytes that must move."""

import importlib.util

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks import harness
from energyam.flips.abstract import Moving
from energyam.flips.sweep import descend
from energyam.linalg import overlaps


def naive_recall(energy, state, draws):
    """One neuron at a time, the whole energy evaluated for the state and for its flip."""

    def try_one(x, i):
        flipped = x.at[i].multiply(-1)
        before, after = energy(x), energy(flipped)
        return jnp.where(after < before, flipped, x), jnp.minimum(before, after)

    return jax.lax.scan(try_one, state, draws)


def naive_energy(patterns, separation):
    """The same energy written down plainly: E(x) = −potential(Ξx)."""
    return lambda x: -separation.potential(patterns @ x)


def sweep_in(order):
    """One sweep of descent in this order, without the short cut behind a leader."""

    def sweep(memory, x):
        neurons = Moving(x, -2 * x, jnp.ones(x.shape, bool))
        return descend(memory.flips(), neurons, jnp.asarray(jnp.inf), order, once=False)

    return eqx.filter_jit(sweep)


def one_query(name, memory, query, key, draws, repeats):
    """One asynchronous recall, per flip tried: energyam, its sweep without the short cut, the naive twin."""
    D = query.shape[0]
    X, state = memory.patterns.astype(float), query.astype(float)
    naive = jax.jit(lambda X, state: naive_recall(naive_energy(X, memory.separation), state, draws))
    each = sweep_in(jr.permutation(key, D))
    one_pass = jax.jit(overlaps)  # the floor of a sweep: every byte of the patterns read once
    first = harness.seconds_of(lambda: eam.recall(memory, query, key=key))
    result = eam.recall(memory, query, key=key)
    settled, tried = result.state.astype(float), result.energies.shape[0]
    timings = harness.time_all(
        {
            "energyam": lambda: eam.recall(memory, query, key=key),
            "each": lambda: each(memory, state),
            "none": lambda: each(memory, settled),
            "naive": lambda: naive(X, state),
            "pass": lambda: one_pass(memory.patterns, state),
        },
        repeats,
    )
    ours, each_, none, twin = (
        timings[n].best / count * 1e6
        for n, count in (("energyam", tried), ("each", D), ("none", D), ("naive", len(draws)))
    )
    return {
        "case": name,
        "us a flip tried": ours,
        "us a flip tried, each tried": each_,
        "us a flip tried, each tried, none flips": none,
        "us, naive twin": twin,
        "us, one pass over D": timings["pass"].best / D * 1e6,
        "x naive": twin / ours,
        "x naive, each tried": twin / each_,
        "first call s": first,
        "bytes kept a flip": (result.energies.nbytes + result.record.indices.nbytes) / tried,
        "bytes of a frame": 4 * D,
        "converged": bool(result.converged),
    }


def batch(name, memory, queries, key, updates, repeats):
    """A batch against `jax.vmap` of the naive twin, per flip tried and query."""
    B, D = queries.shape
    X, states = memory.patterns.astype(float), queries.astype(float)
    draws = jr.randint(key, (updates,), 0, D)
    twin = jax.jit(
        jax.vmap(lambda X, x: naive_recall(naive_energy(X, memory.separation), x, draws), in_axes=(None, 0))
    )
    first = harness.seconds_of(lambda: eam.recall(memory, queries, key=key))
    tried = eam.recall(memory, queries, key=key).energies.shape[1]
    timings = harness.time_all(
        {"energyam": lambda: eam.recall(memory, queries, key=key), "naive": lambda: twin(X, states)}, repeats
    )
    ours = timings["energyam"].best / (tried * B)
    naive = timings["naive"].best / (updates * B)
    return {
        "case": name,
        "us a flip tried": ours * 1e6,
        "ns a flip and pattern": ours / X.shape[0] * 1e9,
        "us, naive twin": naive * 1e6,
        "x naive": naive / ours,
        "first call s": first,
    }


def synchronous(name, memory, queries, repeats):
    """Synchronous steps of a batch against the two bare matrix products that each must do."""
    X, states = memory.patterns.astype(float), queries.astype(float)
    steps = 10
    memory = eqx.tree_at(lambda m: m.patterns, memory, X)

    @jax.jit
    def products(X, x):
        for _ in range(steps):
            x = (x @ X.T) @ X * 1e-6
        return x

    update = eam.Synchronous(tol=0.0)
    run = eqx.filter_jit(lambda m, x: eam.recall(m, x, update, steps, record=False).state)
    unsettled = states + 1e-3 * jr.normal(jr.key(1), states.shape)
    ways = {"energyam": lambda: run(memory, unsettled), "products": lambda: products(X, states)}
    timings = harness.time_all(ways, repeats)
    taken = int(eam.recall(memory, unsettled, update, steps).num_steps.max())
    ours, bare = timings["energyam"].best / taken, timings["products"].best / steps
    return {
        "case": name,
        "ms a step": ours * 1e3,
        "ms, two products": bare * 1e3,
        "share of their speed": bare / ours,
        "steps": taken,
        "first call s": timings["energyam"].first,
    }


def many_patterns(name, make, K, D, repeats):
    """One query among ever more int8 patterns: a flip tried against streaming one neuron's K entries."""
    key, draw = jr.split(jr.key(K))
    X = jr.rademacher(draw, (K, D), dtype="int8")
    memory, query = make(X), eam.datasets.flip_bits(X[0], 0.2, key=key)
    state, each = query.astype(float), sweep_in(jr.permutation(key, D))
    settled = eam.recall(memory, query, key=key).state.astype(float)
    one_pass = jax.jit(overlaps)
    timings = harness.time_all(
        {
            "energyam": lambda: eam.recall(memory, query, key=key),
            "each": lambda: each(memory, state),
            "none": lambda: each(memory, settled),
            "pass": lambda: one_pass(X, state),
        },
        repeats,
    )
    tried = eam.recall(memory, query, key=key).energies.shape[0]
    stream = timings["pass"].best / D
    ours = {
        "": timings["energyam"].best / tried,
        ", each tried": timings["each"].best / D,
        ", each tried, none flips": timings["none"].best / D,
    }
    row = {"case": f"one query, {name}, K={K}, D={D}, int8", "us, one pass over D": stream * 1e6}
    row["share that flips, each tried"] = float((each(memory, state).flips >= 0).mean())
    row |= {f"us a flip tried{way}": seconds * 1e6 for way, seconds in ours.items()}
    return row | {f"x one pass over D{way}": seconds / stream for way, seconds in ours.items()}


def weights(X, query, repeats):
    """Recall through a matrix of weights, all neurons from first to last, beside hopfieldkit if installed."""
    network, update = eam.HopfieldNetwork(eam.hebbian(X)), eam.Asynchronous("sequential")
    ways = {"energyam": lambda: eam.recall(network, query, update)}
    if importlib.util.find_spec("hopfieldkit"):
        import hopfieldkit

        peer = hopfieldkit.HopfieldNetwork(X.shape[1]).fit(np.asarray(X))
        state = np.asarray(query)
        ways["hopfieldkit"] = lambda: peer.recall(state, order="sequential")
    result, timings = ways["energyam"](), harness.time_all(ways, repeats)
    ours = timings["energyam"].best / result.energies.shape[0]
    row = {"case": f"one query, weights of {len(X)} glyphs", "us a flip tried": ours * 1e6}
    if "hopfieldkit" in ways:
        row["x hopfieldkit"] = timings["hopfieldkit"].best / timings["energyam"].best
        row["same state"] = bool((ways["hopfieldkit"]() == np.asarray(result.state)).all())
    return row


def run(quick: bool = False) -> list[dict]:
    """One query, a batch and synchronous recall at K = 1024 and D = 2304 (`quick`: K = 64)."""
    K, B, updates, repeats = (64, 8, 50, 2) if quick else (1024, 100, 2000, 7)
    X = eam.datasets.glyphs()[:K].reshape(K, -1)
    noise, key, pick = jr.split(jr.key(0), 3)
    queries = eam.datasets.flip_bits(X[jr.permutation(pick, K)[:B]], 0.25, key=noise)
    draws = jr.randint(key, (updates,), 0, X.shape[1])
    memories = {
        "exponential, beta 50": eam.ExponentialDenseAM(X, 50.0),
        "polynomial, n 30": eam.PolynomialDenseAM(X, 30),
        "polynomial, n 3": eam.PolynomialDenseAM(X, 3),
        "CHN, overloaded": eam.CHN(X),
    }
    rows = [one_query(f"one query, {n}", m, queries[0], key, draws, repeats) for n, m in memories.items()]
    exponential = memories["exponential, beta 50"]
    rows.append(batch(f"batch of {B}, exponential", exponential, queries, key, updates // 40, repeats))
    small = eam.CHN(X[: K // 4])
    rows.append(batch(f"batch of {B}, CHN K={K // 4}", small, queries, key, updates // 20, repeats))
    rows.append(weights(X[: K // 32], eam.datasets.flip_bits(X[0], 0.1, key=noise), repeats))
    modern = eam.ModernHopfield(X.astype(float), 1e-3)
    rows.append(synchronous(f"synchronous batch of {B}", modern, queries, repeats))
    sizes = (10**3,) if quick else (10**3, 10**4, 10**5, 10**6)
    among_many = {
        "exponential, beta 2": lambda X: eam.ExponentialDenseAM(X, 2.0),
        "polynomial, n 3": lambda X: eam.PolynomialDenseAM(X, 3),
        "polynomial, n 30": lambda X: eam.PolynomialDenseAM(X, 30),
    }
    for size in sizes:
        rows += [many_patterns(name, make, size, 256, min(repeats, 3)) for name, make in among_many.items()]
    return rows
