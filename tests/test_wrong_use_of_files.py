"""`load` checks as construction does: what no constructor takes, no file brings in, over all classes.

A plain run tries two bad values of each field, and all of them with `ENERGYAM_FULL=1`.
"""

import dataclasses
import os
import random

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from right_calls import calls, parameters, right_call
from wrong_calls import BAD

import energyam as eam

FULL = os.environ.get("ENERGYAM_FULL") == "1"
# What files can't hold, or what is loaded as the user's own.
NOT_SAVED = {"OnDisk", "lm.Lookup", "nn.FewShotClassifier", "nn.Nudged", "synapses.Prediction"}
CLASSES = {
    name: called
    for name, called in calls()
    if isinstance(called, type) and issubclass(called, eqx.Module) and name not in NOT_SAVED
}


def with_field(module, name, value):
    """The module with another value of a field, not looked at by anyone."""
    changed = object.__new__(type(module))
    for field in dataclasses.fields(module):
        kept = value if field.name == name else getattr(module, field.name)
        object.__setattr__(changed, field.name, kept)
    return changed


def refused(call, *args, **named):
    """Whether a call raises."""
    try:
        call(*args, **named)
    except Exception:
        return True
    return False


def bad_fields(module, called, given, count):
    """Fields that are parameters, each with some values that its class refuses."""
    rng = random.Random(called.__name__)
    for name, _, _ in parameters(called):
        if name not in {field.name for field in dataclasses.fields(module)}:
            continue
        labels = list(BAD)
        rng.shuffle(labels)
        found = 0
        for label in labels:
            value = BAD[label]
            if found == count or not refused(called, **(given | {name: value})):
                continue
            if isinstance(getattr(module, name), jax.Array):
                if refused(jnp.asarray, value):
                    continue
                value = jnp.asarray(value)
            found += 1
            yield name, label, with_field(module, name, value)


def test_files_of_all_classes_come_back_and_of_bad_values_do_not(tmp_path):
    tried, taken = 0, []
    for class_name, called in CLASSES.items():
        given = right_call(class_name, called)
        module = called(**given)
        eam.save(tmp_path / "right", module)
        assert eqx.tree_equal(eam.load(tmp_path / "right"), module), class_name
        for name, label, changed in bad_fields(module, called, given, 100 if FULL else 2):
            if refused(eam.save, tmp_path / "bad", changed):
                continue
            tried += 1
            if not refused(eam.load, tmp_path / "bad"):
                taken.append(f"{class_name}.{name} = {label}")
    assert tried > (5000 if FULL else 100)
    assert not taken, "\n".join(taken)


def test_what_a_file_brings_is_named(tmp_path):
    for name, change, message in (
        (
            "ModernHopfield",
            lambda m: eqx.tree_at(lambda m: m.separation.beta, m, jnp.array(-1.0)),
            "beta must",
        ),
        ("Entmax", lambda m: with_field(m, "alpha", 7.0), "alpha must"),
        ("HopfieldNetwork", lambda m: with_field(m, "bias", jnp.ones(3)), "bias must"),
        ("nn.HopfieldAttention", lambda m: with_field(m, "separation", "text"), "separation must"),
    ):
        module = CLASSES[name](**right_call(name, CLASSES[name]))
        eam.save(tmp_path / "bad", change(module))
        with pytest.raises(ValueError, match=f"bad: {message}"):
            eam.load(tmp_path / "bad")
