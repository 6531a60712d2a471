"""Traces: what a recall remembers of its way, and the frames rebuilt from it."""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Shaped

from energyam import checks


class AbstractTrace(eqx.Module):
    """The way of one recall, or of a batch of them."""

    @abc.abstractmethod
    def frames(self, every: int) -> Shaped[Array, "*batch F D"]:
        """The query, the states after every `every`-th update, and the last."""


class FlipTrace(AbstractTrace):
    """The neurons that flipped, one number an update (−1: none): 4 bytes instead of a frame of D."""

    query: Shaped[Array, "*batch D"]
    flips: Int[Array, "*batch T"]

    def frames(self, every: int) -> Shaped[Array, "*batch F D"]:
        *batch, T = self.flips.shape
        D = self.query.shape[-1]
        missing = -T % every
        flips = jnp.pad(self.flips, [(0, 0)] * len(batch) + [(0, missing)], constant_values=-1)
        queries = math.prod(batch)
        flips = jnp.where(flips < 0, D, flips).reshape(queries, -(-T // every), every)
        rows = jnp.arange(queries)[:, None]

        def advance(states, flipped):
            states = states.at[rows, flipped].multiply(-1, mode="drop")
            return states, states

        start = self.query.reshape(queries, D)
        _, later = lax.scan(advance, start, jnp.moveaxis(flips, 1, 0))
        frames = jnp.concatenate([start[None], later])
        return jnp.moveaxis(frames, 0, 1).reshape(*batch, -(-T // every) + 1, D)


class StateTrace(AbstractTrace):
    """The states themselves, one an update: what synchronous and gradient recall change at a time."""

    query: Shaped[Array, "*batch D"]
    states: Shaped[Array, "*batch T D"]

    def frames(self, every: int) -> Shaped[Array, "*batch F D"]:
        T = self.states.shape[-2]
        states = jnp.concatenate([self.query[..., None, :], self.states], axis=-2)
        return states[..., frame_updates(T, every), :]


def frame_updates(num_updates: int, every: int) -> Int[Array, " F"]:
    """How many updates lie behind each frame: 0, every, 2·every, …, and `num_updates` at the end."""
    every = checks.count("every", every)
    return jnp.minimum(jnp.arange(-(-num_updates // every) + 1) * every, num_updates)
