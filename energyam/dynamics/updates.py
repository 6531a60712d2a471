"""Update rules: one step downhill, for one state. `recall` repeats it and takes the batches."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from energyam import checks
from energyam.dynamics.sweeps import any_gain, increments_of, sweep, try_each
from energyam.memories.base import AbstractMemory, AbstractNetwork
from energyam.memories.neurons import Binary, Spherical


class AbstractUpdate(eqx.Module):
    """How a state goes downhill: what is laid out once, and one step for one state."""

    @abc.abstractmethod
    def prepare(self, memory: Any) -> Any:
        """What the steps read of the memory, made once a recall; raises `ValueError` if it can't serve."""

    @abc.abstractmethod
    def draw(self, num_neurons: int, key: PRNGKeyArray | None) -> Any:
        """The random choices of one step, shared by all queries of a batch."""

    @abc.abstractmethod
    def start(self, prepared: Any, state: Float[Array, " D"]) -> tuple[Float[Array, ""], Any]:
        """The energy of a state, and whatever else the first step wants to find ready."""

    @abc.abstractmethod
    def step(
        self,
        prepared: Any,
        state: Float[Array, " D"],
        energy: Float[Array, ""],
        ready: Any,
        drawn: Any,
        clamp: Bool[Array, " D"],
    ) -> tuple[Float[Array, " D"], Float[Array, ""], Any, Bool[Array, ""], Float[Array, " t"], Array]:
        """State, energy and `ready` after one step; whether it proves convergence; and its history: the
        energies of its t updates, and their flips (t,) or states (t, D)."""


class Asynchronous(AbstractUpdate):
    """One neuron at a time: each flips if, and only if, the energy falls. One step tries D neurons.

    A sweep that visits every neuron and flips none proves a local minimum. The order is drawn once a step
    and shared by the queries of a batch, so that a query recalls alike alone and among others.

    **Arguments:** `order`: `"permutation"`, every neuron once in a fresh random order; `"sequential"`,
    every neuron once from first to last; `"uniform"`, D draws with replacement, which leave a share 1/e
    of the neurons out of each step (convergence is then certified by testing every neuron).

    Raises `ValueError` for another order, and in `recall` for a memory of continuous neurons.

    Hopfield, PNAS 79 (1982).
    """

    order: str = eqx.field(static=True)

    def __init__(self, order: str = "permutation"):
        if order not in ("permutation", "uniform", "sequential"):
            raise ValueError(f"order must be 'permutation', 'uniform' or 'sequential'; got {order!r}")
        self.order = order

    def prepare(self, memory: Any) -> Any:
        increments_of(memory)  # raises for continuous neurons
        return memory

    def draw(self, num_neurons: int, key: PRNGKeyArray | None) -> Int[Array, " D"]:
        if self.order == "sequential":
            return jnp.arange(num_neurons)
        if key is None:
            raise ValueError(
                f"key must be given, as the order is {self.order!r}; got None "
                "(pass key=jax.random.key(0), or update=Asynchronous('sequential'))"
            )
        if self.order == "permutation":
            return jr.permutation(key, num_neurons)
        return jr.randint(key, (num_neurons,), 0, num_neurons)

    def start(self, prepared: Any, state: Float[Array, " D"]) -> tuple[Float[Array, ""], Any]:
        return prepared.energy(state), None

    def step(self, prepared, state, energy, ready, drawn, clamp):
        one_pass = try_each if self.order == "uniform" else sweep
        state, energy, energies, flips = one_pass(prepared, state, energy, drawn, clamp)
        settled = (flips < 0).all()
        if self.order == "uniform":
            settled = settled & ~any_gain(prepared, state, clamp)
        return state, energy, None, settled, energies, flips


class Synchronous(AbstractUpdate):
    """All neurons at once: each answers the field that the present state makes at it.

    x ← argmin_x R(x) − x · ∇potential(x): sign(Ξᵀ weights(Ξx)) for ±1 neurons, Ξᵀ weights(Ξx) for
    continuous ones. This is the concave-convex procedure: where the potential is convex the energy never
    rises. Networks of weights that are not positive semidefinite may end in a cycle of two.

    **Arguments:** `tol`: converged when no neuron moves by more than tol · max(1, max|x|).

    Yuille & Rangarajan, Neural Computation 15 (2003); Ramsauer et al., ICLR 2021.
    """

    tol: Float[Array, ""]

    def __init__(self, tol: ArrayLike = 1e-6):
        self.tol = _tolerance(tol)

    def prepare(self, memory: Any) -> AbstractNetwork:
        if not isinstance(memory, AbstractNetwork):
            raise ValueError(
                f"Synchronous needs a memory with a field; {type(memory).__name__} has only an energy "
                "(use Asynchronous() for ±1 states or GradientDescent(step_size) for continuous ones)"
            )
        return memory

    def draw(self, num_neurons: int, key: PRNGKeyArray | None) -> None:
        return None

    def start(self, prepared: Any, state: Float[Array, " D"]) -> tuple[Float[Array, ""], Any]:
        currents = prepared.currents(state)
        if not isinstance(prepared, AbstractMemory):
            return jnp.full((), jnp.nan, state.dtype), currents
        return prepared.neurons.energy(state) - prepared.potential(currents, state), currents

    def step(self, prepared, state, energy, ready, drawn, clamp):
        answer = prepared.neurons.respond(prepared.field(ready), state)
        new = jnp.where(clamp, state, answer)
        energy, ready = self.start(prepared, new)
        return new, energy, ready, _still(new, state, self.tol), energy[None], new[None]


class GradientDescent(AbstractUpdate):
    """x ← x − step_size · ∇E(x), for continuous neurons and for any object with a differentiable energy.

    The energy falls at every step for step sizes below 2/L, where L bounds the curvature of the energy.

    **Arguments:** `step_size`: positive; `tol`: converged when no neuron moves by more than
    tol · max(1, max|x|). Raises `ValueError` for others, and in `recall` for a memory of ±1 neurons.
    """

    step_size: Float[Array, ""]
    tol: Float[Array, ""]

    def __init__(self, step_size: ArrayLike, tol: ArrayLike = 1e-6):
        checks.positive("step_size", step_size)
        self.step_size = checks.as_floats("step_size", step_size, "")
        self.tol = _tolerance(tol)

    def prepare(self, memory: Any) -> Any:
        neurons = getattr(memory, "neurons", None)
        if isinstance(neurons, Binary):
            raise ValueError(
                f"GradientDescent needs continuous neurons; those of {type(memory).__name__} are ±1 "
                "(use Asynchronous() or Synchronous())"
            )
        return memory

    def draw(self, num_neurons: int, key: PRNGKeyArray | None) -> None:
        return None

    def start(self, prepared: Any, state: Float[Array, " D"]) -> tuple[Float[Array, ""], Any]:
        return jax.value_and_grad(prepared.energy)(state)

    def step(self, prepared, state, energy, ready, drawn, clamp):
        new = jnp.where(clamp, state, state - self.step_size * ready)
        if isinstance(getattr(prepared, "neurons", None), Spherical):
            new = prepared.neurons.respond(new, state)
        energy, ready = self.start(prepared, new)
        return new, energy, ready, _still(new, state, self.tol), energy[None], new[None]


def _still(new, old, tol):
    return jnp.abs(new - old).max() <= tol * jnp.maximum(1, jnp.abs(new).max())


def _tolerance(tol):
    if not checks.passes(lambda t: t >= 0, tol):
        raise ValueError(f"tol must not be negative; got {tol}")
    return checks.as_floats("tol", tol, "")
