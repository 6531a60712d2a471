"""Every job of `jobs.py` under JAX's own switches: what people turn on to debug their own code.

All jobs run under strict promotion and a check for NaN; a part of them under the other switches, drawn by
their names, and all of them where the environment says ENERGYAM_FULL=1.
"""

import contextlib
import os
import zlib

import jax
import jax.numpy as jnp
import jobs
import matplotlib.pyplot as plt
import numpy as np
import pytest

FULL = os.environ.get("ENERGYAM_FULL") == "1"
JOBS = jobs.JOBS
# Whose infinities are meant: energies out of reach, and masks.
INFINITE = ("compact", "epanechnikov")


@contextlib.contextmanager
def switched(**options):
    """Options of JAX as given, and then as they were."""
    before = {name: jax.config.read(name) for name in options}
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def part(switch, names, share):
    """About one in `share` of the names, others for each switch; all of them in a full run."""
    return [name for name in names if FULL or zlib.crc32(f"{switch}{name}".encode()) % share == 0]


def run(name):
    function, arguments = JOBS[name]()
    return jax.block_until_ready(arrays(function(*arguments)))


def arrays(answer):
    return [leaf for leaf in jax.tree.leaves(answer) if isinstance(leaf, jax.Array)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", JOBS)
def test_strict_promotion_and_no_nan(name):
    with switched(jax_numpy_dtype_promotion="strict", jax_debug_nans=True):
        run(name)


EAGER = [name for name in JOBS if name.split("/")[0] in (*jobs.KINDS, "recall", "sample", "read")]


@pytest.mark.parametrize("name", part("transfers", EAGER, 6))
def test_a_second_call_sends_nothing_from_the_host(name):
    function, arguments = JOBS[name]()
    jax.block_until_ready(arrays(function(*arguments)))
    with jax.transfer_guard_host_to_device("disallow"):
        jax.block_until_ready(arrays(function(*arguments)))


def test_the_guard_sees_what_is_sent():
    with jax.transfer_guard_host_to_device("disallow"), pytest.raises(Exception, match="Disallowed"):
        jax.block_until_ready(jnp.sin(np.ones(3, np.float32)))


@pytest.mark.parametrize(
    "name", part("jit", ("binary/chn", "potts/potts_hopfield", "recall/settles_at_once"), 3)
)
def test_nothing_compiled(name):
    with jax.disable_jit():
        run(name)


@pytest.mark.parametrize(
    "name", part("infinities", [n for n in JOBS if not any(i in n for i in INFINITE)], 30)
)
def test_no_infinity(name):
    with switched(jax_debug_infs=True):
        run(name)


@pytest.mark.parametrize("name", part("x64", JOBS, 30))
def test_double_precision(name, x64):
    run(name)


@pytest.mark.parametrize("name", part("rbg", JOBS, 30))
def test_keys_of_another_kind(name):
    with switched(jax_default_prng_impl="rbg"):
        run(name)


@pytest.mark.parametrize("name", part("leaks", JOBS, 30))
def test_no_tracer_leaks(name):
    with jax.checking_leaks():
        run(name)


def leaves_of(job):
    function, arguments = job()
    owner = getattr(function, "func", function)
    return jax.tree.leaves((owner, getattr(owner, "__self__", None), arguments))


@pytest.mark.parametrize("name", [name for name in JOBS if not name.startswith("pictures")])
def test_all_leaves_are_of_a_dtype_of_their_own(name):
    """Else a step of an optimizer, or a file, makes others of them, and what they enter is compiled anew."""
    assert not any(getattr(leaf, "weak_type", False) for leaf in leaves_of(JOBS[name]))
