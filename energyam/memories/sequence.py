"""A network whose states follow one another. Its weights are not symmetric, so it has no energy."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from energyam import checks
from energyam.linalg import dot
from energyam.memories.neurons import Binary


class SequenceNetwork(eqx.Module):
    """A network of ±1 neurons that hops from state to state: x(t+1) = sign(W x(t) + V x(t − delay)).

    There is no `energy`: for weights that are not symmetric, no function of the state falls at every step.
    `recall` runs it with `Synchronous()`, its energies are NaN, and a sequence that goes on has not
    converged.

    Without V, `weights` are those of `sequence_weights` and each step is a hop. With V, say
    `strength * learning.transition_weights(patterns, transitions)` beside `weights=hebbian(patterns)`, the
    past pushes on: the network dwells `delay + 1` steps in each state before it hops.

    The state of `recall` is a window of (delay + 1)·D entries, x(t) first and x(t − delay) last:
    `window(x)` makes one from a state that has been there for long, and `[..., :D]` is the present.

    **Arguments:** `weights` W (D, D); `delayed_weights` V (D, D), 0 unless given; `delay`: in steps, an
    integer of at least 0. Raises `ValueError` for other shapes, NaN, or a delay without delayed weights.

    Sompolinsky & Kanter, Phys. Rev. Lett. 57 (1986); Amit, "Modeling Brain Function" (1989), chapter 5.
    """

    weights: Float[Array, "D D"]
    delayed_weights: Float[Array, "D D"] | None
    delay: int = eqx.field(static=True)
    neurons: Binary

    def __init__(
        self,
        weights: Shaped[ArrayLike, "..."],
        delayed_weights: Shaped[ArrayLike, "..."] | None = None,
        delay: int = 0,
    ):
        self.weights = checks.as_square("weights", weights)
        self.delayed_weights = None
        self.delay = checks.count("delay", delay, least=0)
        self.neurons = Binary()
        if delayed_weights is not None:
            self.delayed_weights = V = checks.as_square("delayed_weights", delayed_weights)
            if V.shape != self.weights.shape:
                raise ValueError(f"delayed_weights must be {self.weights.shape}; got shape {V.shape}")
        elif delay:
            raise ValueError(f"delayed_weights must be given for a delay of {delay}; got None")

    @property
    def num_neurons(self) -> int:
        return (self.delay + 1) * self.weights.shape[0]

    def window(self, state: Shaped[Array, "*batch D"]) -> Shaped[Array, "*batch N"]:
        """The window (*batch, (delay + 1)·D) of a state (*batch, D) that has been there for long."""
        return jnp.concatenate([jnp.asarray(state)] * (self.delay + 1), axis=-1)

    @property
    def state_shape(self) -> tuple[int]:
        """((delay + 1)·D,), the shape of a state."""
        return (self.num_neurons,)

    def field(self, state: Float[Array, " N"]) -> Float[Array, " N"]:
        """W x(t) + V x(t − delay) at the present, and behind it the window, moved on by one."""
        D = self.weights.shape[0]
        drive = dot(self.weights, state[:D])
        if self.delayed_weights is not None:
            drive = drive + dot(self.delayed_weights, state[-D:])
        return jnp.concatenate([drive, state[:-D]])
