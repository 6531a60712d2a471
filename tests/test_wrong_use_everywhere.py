"""Every public callable refuses wrong arguments in clear errors: by program, over parameters and values.

Functions, classes, and the methods that users call. A plain run tries two values that each parameter must
refuse. With `ENERGYAM_FULL=1` every parameter takes every bad value (some 60,000 calls, ten minutes).
"""

import collections
import os
import random
import shutil
import warnings

import pytest
from right_calls import ONE_CALL, calls, parameters, public_names, right_call
from right_methods import NO_INSTANCE, OF_THE_LIBRARY, Method, methods
from wrong_calls import bad_values, outcome, surely_wrong, verdict

pytestmark = pytest.mark.usefixtures("fetched")  # a folder to write to, and all that names a file is there
FULL = os.environ.get("ENERGYAM_FULL") == "1"
CALLS = {**dict(calls()), **dict(methods())}


def wrong_calls(name):
    """The wrong calls of a public name: its right arguments, and each parameter with a bad value."""
    given, rng = right_call(name, CALLS[name]), random.Random(name)
    for parameter, kind, default in parameters(CALLS[name]):
        right = (given or {}).get(parameter, default)
        values = bad_values(right)
        must = [label for label, value in values.items() if surely_wrong(value, kind, right)]
        labels = [*values] if FULL and given is not None else must
        for label in labels if FULL else rng.sample(labels, min(2, len(labels))):
            yield given, parameter, kind, default, label


def test_every_public_name_has_right_arguments():
    """Only the one that is left out on purpose has none."""
    missing = {name for name in CALLS if right_call(name, CALLS[name]) is None}
    assert missing == {name for name, given in ONE_CALL.items() if given is None} and len(missing) == 1


def test_methods_that_users_call_are_among_them():
    """So are those of a class that is written tomorrow, but for what the library calls in its loops."""
    here = {f"{one.cls.__name__}.{one.own}" for one in CALLS.values() if isinstance(one, Method)}
    assert {"Scaffold.at", "Store.append", "FastWeightLayer.step", "KeyValueMemory.with_pairs"} <= here
    assert {"MemoryStore.only", "Attention.weights", "ConvEmbedding.__call__", "Recall.frames"} <= here
    assert not {"HeatBath.step", "Cosine.field", "CHN.pull", "Binary.respond", "LogSumExp.gain"} & here
    names = {name for name, _ in public_names()}
    assert {*NO_INSTANCE} <= names and {name.rpartition(".")[0] for name in OF_THE_LIBRARY} <= names


def test_wrong_arguments_are_refused_by_name():
    found = collections.Counter()
    faults = collections.defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in CALLS:
            for given, parameter, kind, default, label in wrong_calls(name):
                kind, text = verdict((name, CALLS[name]), given, parameter, kind, default, label)
                found[kind] += 1
                faults[kind].append(f"{name}({parameter}={label}): {text:.200}")
    assert found["clear"] > (25_000 if FULL else 1_000)
    assert not faults["silent"], "\n".join(faults["silent"])
    assert not faults["cryptic"], "\n".join(faults["cryptic"])
    assert found["unnamed"] <= 0.01 * found.total(), "\n".join(faults["unnamed"])


def test_right_arguments_are_right():
    """Those of all names in a full run, and of every twentieth in a plain one."""
    for name in list(CALLS)[:: 1 if FULL else 20]:
        given = right_call(name, CALLS[name])
        if given is not None and (name != "plotting.Animation.video" or shutil.which("ffmpeg")):
            CALLS[name](**given)


def silent(size: int, name: str = "a"):
    """A function that checks nothing."""
    return size, name


def cryptic(size: int):
    return size.bit_length()


def unnamed(size: int):
    raise ValueError("this can't be")


@pytest.mark.parametrize("parameter", ["size", "name"])
def test_what_is_taken_without_a_word_is_found(parameter):
    (kind,) = (kind for name, kind, _ in parameters(silent) if name == parameter)
    assert surely_wrong(None, kind, 1) and not surely_wrong({"size": 3, "name": "b"}[parameter], kind, 1)
    assert verdict(("silent", silent), {"size": 1}, parameter, kind, 1, "None").kind == "silent"


def test_errors_that_do_not_help_are_found():
    assert outcome(cryptic, {}, "size", "text").kind == "cryptic" == outcome(unnamed, {}, "size", "a").kind
    named = lambda size: exec("raise ValueError('size must be 3')")  # noqa: E731
    assert outcome(named, {}, "size", 4).kind == "clear"
