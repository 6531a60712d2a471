"""Whatever is public compiles nothing when it is called again with what it was called with before.

A loop of JAX outside `jit`, or a function that is made and compiled in a call, is compiled anew each time.
"""

import jax
import pytest
import right_calls
import right_methods
from compiled_programs import compiled

ONLY_ONCE = {
    "sharding.save_shards": "refuses a folder that is there already",
    "plotting.Animation.video": "needs ffmpeg",
}


def right_calls_of_all():
    """Every public function and method of the library, with its right arguments."""
    for name, called in [*right_calls.calls(), *right_methods.methods()]:
        if right_calls.ONE_CALL.get(name, {}) is not None and name not in ONLY_ONCE:
            yield name, called


@pytest.mark.parametrize("name, called", [pytest.param(*call, id=call[0]) for call in right_calls_of_all()])
def test_no_third_call_compiles_anything(name, called, caplog, fetched, no_hook):
    given = right_calls.right_call(name, called)
    call = lambda: list(called(**given)) if name == "lm.stream" else called(**given)  # noqa: E731
    if given is not None:
        jax.block_until_ready((call(), call()))
        assert compiled(caplog, call) == []


def test_a_loop_outside_jit_is_found(caplog):
    call = lambda: jax.lax.scan(lambda total, _: (total + 1, None), 0.0, length=2)[0]  # noqa: E731
    call()
    assert compiled(caplog, call) == ["scan"]
