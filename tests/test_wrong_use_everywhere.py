"""Every public callable refuses wrong arguments in clear errors: by program, over parameters and values.

A plain run tries two values that each parameter must refuse. With `ENERGYAM_FULL=1` every parameter takes
every bad value (some 40,000 calls, ten minutes).
"""

import collections
import os
import random
import warnings

import pytest
from right_calls import ONE_CALL, calls, parameters, right_call
from wrong_calls import BAD, outcome, surely_wrong, verdict

FULL = os.environ.get("ENERGYAM_FULL") == "1"
CALLS = dict(calls())


def wrong_calls(name):
    """The wrong calls of a public name: its right arguments, and each parameter with a bad value."""
    given, rng = right_call(name, CALLS[name]), random.Random(name)
    for parameter, kind, default in parameters(CALLS[name]):
        right = (given or {}).get(parameter, default)
        must = [label for label, value in BAD.items() if surely_wrong(value, kind, right)]
        labels = [*BAD] if FULL and given is not None else must
        for label in labels if FULL else rng.sample(labels, min(2, len(labels))):
            yield given, parameter, kind, default, label


def test_every_public_name_has_right_arguments():
    """Only names that are left out on purpose, as they read files or the network, have none."""
    missing = {name for name in CALLS if right_call(name, CALLS[name]) is None}
    assert missing == {name for name, given in ONE_CALL.items() if given is None}


def test_wrong_arguments_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
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


def test_right_arguments_are_right(tmp_path, monkeypatch):
    """Those of all names in a full run, and of every tenth in a plain one."""
    monkeypatch.chdir(tmp_path)
    for name in list(CALLS)[:: 1 if FULL else 10]:
        given = right_call(name, CALLS[name])
        if given is not None:
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
