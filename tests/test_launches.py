"""The counter of launches: exact on programs that can be counted by hand, however they are called."""

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from jax import lax

import energyam as eam
from benchmarks import launch_counter, launches
from benchmarks.launch_counter import Launches, count
from energyam.flips import plan


def five_turns(x):
    """A loop of five turns, one kernel each."""
    return lax.scan(lambda c, y: (2 * c + y, None), x, jnp.arange(5.0))[0]


def sorted_twice(x):
    """Three turns of three kernels: a sorting, a change of sign, another sorting."""
    return lax.scan(lambda c, _: (lax.sort(-lax.sort(c)), None), x, None, length=3)[0]


def collatz(n):
    """A loop whose turns depend on data: from 6 to 3, 10, 5, 16, 8, 4, 2, 1.

    A turn is one kernel, and one of its predicate.
    """
    return lax.while_loop(lambda n: n != 1, lambda n: jnp.where(n % 2 == 0, n // 2, 3 * n + 1), n)


def sorted_by_size(xs):
    """A branch of two, in one of which is another branch of two.

    A turn looks at the sign. Numbers from 0 on are compared with 10, and then doubled or added; others are
    multiplied: one kernel to choose, and one to compute.
    """

    def small_or_large(c, x):
        return lax.cond(x > 10, lambda c, x: 2 * c + x, lambda c, x: c + 3 * x, c, x)

    def turn(c, x):
        return lax.cond(x >= 0, small_or_large, lambda c, x: c * x, c, x), None

    return lax.scan(turn, 1.0, xs)[0]


def check_what_is_known():
    """What the four programs launch, counted by hand."""
    assert count(five_turns, 1.0) == Launches(5, 0, 0)
    assert count(sorted_twice, jnp.arange(4.0)) == Launches(9, 0, 0)
    assert count(collatz, 6) == Launches(16, 8, 0)
    assert count(collatz, 1) == Launches(0, 0, 0)
    # Three turns choose; the two numbers from 0 on choose again; three branches compute.
    assert count(sorted_by_size, jnp.array([20.0, -1.0, 3.0])) == Launches(3 + 2 + 3, 0, 3 + 2)
    assert count(sorted_by_size, jnp.array([-20.0, -1.0, -3.0])) == Launches(3 + 3, 0, 3)


def test_the_count_is_that_by_hand():
    check_what_is_known()


def _once(self, program, args, times):
    """A wrong count: every body that runs at all counts once."""
    times = times.at[self.places[id(program)]].set(1)
    return self.run(program.jaxpr, program.consts, args, times)


def _never_inside(self, program, args, times):
    """A wrong count: what runs inside of a body is forgotten."""
    results, _ = self.run(program.jaxpr, program.consts, args, times)
    return results, times.at[self.places[id(program)]].add(1)


def _without_predicates(bodies, times):
    """A wrong count: the predicates of loops are left out."""
    right = RIGHT_TOTAL(bodies, times)
    return right._replace(kernels=right.kernels - right.turns)


def _all_branches(bodies, times):
    """A wrong count: of a choice both branches run."""
    return RIGHT_TOTAL(bodies, [max(n, body.kind == "cond") for body, n in zip(bodies, times, strict=True)])


RIGHT_TOTAL = launch_counter.total
WRONG = {
    "once": (launch_counter.Counter, "_body", _once),
    "never_inside": (launch_counter.Counter, "_body", _never_inside),
    "without_predicates": (launch_counter, "total", _without_predicates),
    "all_branches": (launch_counter, "total", _all_branches),
    "one_kernel_each": (launch_counter, "kernels_of", lambda program: 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_count_is_noticed(name, monkeypatch):
    monkeypatch.setattr(*WRONG[name])
    with pytest.raises(AssertionError):
        check_what_is_known()


def in_custom_jvp(function):
    wrapped = jax.custom_jvp(function)
    wrapped.defjvp(lambda primals, tangents: (function(*primals), tangents[0]))
    return wrapped


def in_custom_vjp(function):
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(lambda x: (function(x), None), lambda _, cotangent: (cotangent,))
    return wrapped


def in_custom_vmap(function):
    wrapped = jax.custom_batching.custom_vmap(function)
    wrapped.def_vmap(lambda size, batched, xs: (lax.map(function, xs), batched[0]))
    return wrapped


CALLS = {
    "jit": jax.jit,
    "remat": jax.checkpoint,
    "custom_jvp": in_custom_jvp,
    "custom_vjp": in_custom_vjp,
    "custom_vmap": in_custom_vmap,
    "sequential_vmap": jax.custom_batching.sequential_vmap,
}


@pytest.mark.parametrize("name", CALLS)
def test_loops_inside_calls_are_counted(name):
    inside = CALLS[name](five_turns)
    assert count(inside, 1.0) == Launches(5, 0, 0)
    assert count(lambda x: twice(inside, x), 1.0) == count(lambda x: twice(five_turns, x), 1.0)


def twice(function, x):
    """A loop of two turns."""
    return lax.fori_loop(0, 2, lambda _, c: function(c), x)


def test_a_rule_for_batches_is_what_counts_in_a_batch():
    batched = jax.vmap(in_custom_vmap(collatz))
    assert count(batched, jnp.array([6, 1, 2])).turns == 8 + 0 + 1
    assert count(jax.vmap(collatz), jnp.array([6, 1, 2])).turns == 8


def test_gradients_are_counted():
    """The way back through a loop is a loop as long."""
    assert count(jax.grad(five_turns), 1.0).kernels >= 5
    assert count(lambda x: x + 1, 1.0) == Launches(0, 0, 0)


def test_loops_that_cannot_be_counted_are_refused():
    def solved(b):
        return lax.custom_linear_solve(lambda x: 2 * x, b, lambda _, b: five_turns(b), symmetric=True)

    with pytest.raises(ValueError, match=r"loops inside '.*linear_solve'"):
        count(solved, 1.0)
    with pytest.raises(ValueError, match="predicate of a loop"):
        count(lambda x: lax.while_loop(lambda x: five_turns(x) < 100, lambda x: 2 * x, x), 1.0)


def test_a_recall_and_sampling_are_counted():
    memory = launches.spin_glass(8)
    start = jnp.sign(jr.normal(jr.key(0), (2, 8)))
    sampled = launches.launches_of_sampling(memory, start)
    assert sampled.kernels > 10 and sampled == launches.launches_of_sampling(memory, start)
    with plan.as_on("accelerator"):
        recalled = launches.launches_of_recall(memory, start)
    assert recalled.kernels > int(eam.recall(memory, start, key=jr.key(0)).num_steps.max())


# At most so many launches on a CPU, and by the plans made for accelerators: a quarter more than were counted.
MOST = {
    "CHN": (Launches(1850, 43, 84), Launches(1550, 27, 50)),
    "HopfieldNetwork": (Launches(1650, 43, 71), Launches(1330, 27, 38)),
    "exponential .05": (Launches(3000, 58, 143), Launches(720, 4, 43)),
    "polynomial 3": (Launches(3130, 49, 82), Launches(565, 2, 33)),
    "PatternSDM": (Launches(2710, 49, 77), Launches(480, 2, 28)),
    "SK": (Launches(2480, 110, 13), Launches(2200, 84, 13)),
}


def small_recall(name):
    """What six recalls among twelve patterns launch, or ten sweeps of four chains of a spin glass."""
    if name == "SK":
        start = jnp.sign(jr.normal(jr.key(3), (4, 96)))
        return launches.launches_of_sampling(launches.spin_glass(96), start)
    X = jr.rademacher(jr.key(0), (12, 96), dtype="int8").astype(float)
    queries = eam.datasets.flip_bits(X[:6], 0.25, key=jr.key(1))
    return launches.launches_of_recall(launches.memories(X)[name](), queries)


def check_at_most(found, most):
    assert all(n <= m for n, m in zip(found, most, strict=True)), f"{found} is more than {most}"


@pytest.mark.parametrize("platform", ["cpu", "accelerator"])
@pytest.mark.parametrize("name", MOST)
def test_recalls_and_sweeps_launch_no_more_than_they_did(name, platform):
    with plan.as_on(platform):
        check_at_most(small_recall(name), MOST[name][platform == "accelerator"])


def test_small_blocks_launch_more_than_is_allowed(monkeypatch):
    monkeypatch.setattr(plan, "COUPLED", dict.fromkeys(plan.COUPLED, 8))
    with plan.as_on("accelerator"), pytest.raises(AssertionError, match="is more than"):
        check_at_most(small_recall("HopfieldNetwork"), MOST["HopfieldNetwork"][1])
