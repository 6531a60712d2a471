"""Sweeps over units of several values, alone or beside neurons of two: one unit after another."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.flips.abstract import AbstractFlips, Moving, Swept
from energyam.flips.sweep import lowered


class Units(NamedTuple):
    """Which entries of a vector (N,) of neurons move together, and to what.

    `entries` (U, w): those of each unit, N where a unit has fewer than w; `kinds` (U,): which of the layers
    each belongs to; `widths`: the w of each layer.
    """

    entries: Int[np.ndarray, "U w"]
    kinds: Int[np.ndarray, " U"]
    layers: tuple[Any, ...]  # their neurons
    widths: tuple[int, ...]

    @classmethod
    def of_layers(cls, neurons: tuple[Any, ...], shapes: tuple, moves: tuple) -> "Units":
        """The units of all layers that move, in the order of the layers."""
        given = [
            (one, int(np.prod(shape)), m[0])
            for one, shape, m in zip(neurons, shapes, moves, strict=True)
            if m
        ]
        N, w = sum(size for _, size, _ in given), max(width for _, _, width in given)
        entries, kinds, start = [], [], 0
        for kind, (_, size, width) in enumerate(given):
            own = start + np.arange(size).reshape(-1, width)
            entries.append(np.pad(own, [(0, 0), (0, w - width)], constant_values=N))
            kinds.append(np.full(len(own), kind))
            start += size
        layers, widths = (tuple(one[j] for one in given) for j in (0, 2))
        return cls(np.concatenate(entries), np.concatenate(kinds), layers, widths)

    @property
    def num(self) -> int:
        """U, the number of units."""
        return self.entries.shape[0]

    @property
    def most(self) -> int:
        """The largest number of other values that a unit has."""
        return max(max(width - 1, 1) for width in self.widths)

    def counts(self, units: Int[Array, " t"]) -> Int[Array, " t"]:
        """How many other values some units have."""
        of_kind = np.array([max(width - 1, 1) for width in self.widths])
        return jnp.asarray(of_kind)[jnp.asarray(self.kinds)[units]]

    def steps(
        self, neurons: Moving, unit: Int[Array, ""]
    ) -> tuple[Int[Array, " w"], Float[Array, "n w"], Bool[Array, " n"]]:
        """The entries of a unit, the step to each of its other values, and which of these there are."""
        entries = jnp.asarray(self.entries)[unit]
        row = neurons.state.at[entries].get(mode="fill", fill_value=0)
        n, w = self.most, row.shape[0]
        found = []
        for one, width in zip(self.layers, self.widths, strict=True):
            if width == 1:
                others = one.others(row[:1])[None]
            else:
                others = one.others(row[:width])
            step = others - row[None, :width]
            found.append(jnp.pad(step, [(0, n - step.shape[0]), (0, w - width)]))
        kind = jnp.asarray(self.kinds)[unit]
        present = jnp.arange(n) < self.counts(unit[None])[0]
        return entries, jnp.stack(found)[kind], present


def descend_units(
    flips: AbstractFlips, units: Units, neurons: Moving, energy: Float[Array, ""], order: Int[Array, " t"]
) -> Swept:
    """Try the units of `order`; each goes to its best other value if, and only if, that lowers the energy."""
    kept = flips.start(neurons.state)
    energy = jnp.minimum(energy, flips.energy(kept, neurons.state))
    noise = jnp.zeros((order.shape[0], units.most), neurons.state.dtype)
    return _sweep(flips, kept, units, neurons, energy, order, noise)[0]


def visit_units(
    flips: AbstractFlips,
    kept: Any,
    units: Units,
    neurons: Moving,
    order: Int[Array, " t"],
    noise: Float[Array, "t n"],
) -> tuple[Swept, Any]:
    """Try the units of `order`; each goes to the value of the largest change + noise, if that lies above
    0."""
    energy = flips.energy(kept, neurons.state)
    return _sweep(flips, kept, units, neurons, energy, order, noise)


def _sweep(flips, kept, units, neurons, energy, order, noise):
    flips = flips.laid_out()

    def try_one(at, tried):
        state, kept, energy = at
        unit, noise = tried
        entries, steps, present = units.steps(neurons._replace(state=state), unit)
        change = jax.vmap(lambda step: flips.change(kept, state, entries, step))(steps)
        score = jnp.where(present, change.value + noise, -jnp.inf)
        best = jnp.argmax(score)
        least = jnp.where(noise[best] == 0, change.error[best], 0)
        free = neurons.free.at[entries].get(mode="fill", fill_value=True).all()
        falls = free & (score[best] > least)
        step = jnp.where(falls, steps[best], 0)
        after = flips.move(kept, state, entries, step)
        kept = jax.tree.map(functools.partial(jnp.where, falls), after, kept)
        energy = jnp.where(falls, lowered(energy, change.value[best]), energy)
        # Of a neuron of two values the first entry is all there is; of a unit, the one that rises.
        entry = entries[jnp.argmax(jnp.where(entries < state.shape[0], step, -jnp.inf))]
        return (state.at[entries].add(step, mode="drop"), kept, energy), (energy, jnp.where(falls, entry, -1))

    (state, kept, energy), (energies, moved) = lax.scan(
        try_one, (neurons.state, kept, energy), (order, noise)
    )
    return Swept(state, energy, energies, moved), kept
