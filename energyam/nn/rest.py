"""Gradients at rest: the derivative of a recalled state, without differentiating through the steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from energyam import checks
from energyam.dynamics.fields import held, is_still
from energyam.dynamics.recall import default_update, recall
from energyam.dynamics.states import as_working, check_memory, checked_clamp, checked_states, layers_of
from energyam.dynamics.update import AbstractUpdate, Tick


def recall_at_rest(
    memory: Any,
    query: PyTree[ArrayLike],
    update: AbstractUpdate | None = None,
    max_steps: int = 200,
    *,
    clamp: Any = None,
    tol: int | float = 1e-6,
) -> PyTree[Array]:
    """The state that a recall from `query` ends in, with implicit gradients, which need no memory for steps.

    At rest g = f(θ, g), one step of the rule f. For a cotangent v of g, λ = v + (∂f/∂g)ᵀ λ is solved by
    iteration, which converges as fast as the recall does, and θ gets (∂f/∂θ)ᵀ λ. Clamped neurons get
    gradients of their own, and the starts of free neurons get none. The gradients are exact only at rest, so
    allow enough steps.

    **Arguments:** those of `recall`, for one state (use `jax.vmap`) and a rule without randomness that is
    differentiable; `max_steps` and `tol` also end the iteration for λ. Raises `ValueError` for a batch, a
    rule that flips, and as `recall` does.

    Bai, Kolter & Koltun, "Deep equilibrium models", NeurIPS 2019; Almeida (1987), Pineda (1987).

        >>> network = eam.HopfieldNetwork(jnp.zeros((2, 2)), jnp.array([0.5, 0.0]), eam.Tanh(1.0))
        >>> at_rest = lambda network: eam.nn.recall_at_rest(network, jnp.zeros(2))[0]
        >>> eqx.filter_grad(at_rest)(network).bias, 1 - np.tanh(0.5) ** 2
        (Array([0.7864477, 0.       ], dtype=float32), np.float64(0.7864477329659274))
    """
    check_memory(memory)
    update = default_update(memory, query) if update is None else update
    if not isinstance(update, AbstractUpdate) or update.moves_neurons:
        raise ValueError(f"update must be a differentiable rule, not one of flips; got {update!r:.80}")
    max_steps, tol = checks.count("max_steps", max_steps), checks.number("tol", tol, 0)
    layers = layers_of(memory, query, False)
    batch = checked_states(layers, query, "query")
    if batch.axes:
        raise ValueError(f"query must be one state; got leading axes {batch.axes} (use jax.vmap)")
    clamp = jax.tree.map(jnp.asarray, checked_clamp(layers, clamp, ())[0])
    theta, rest = eqx.partition((memory, update), eqx.is_inexact_array)
    return _with_gradients(rest, max_steps, tol)(theta, as_working(batch.states, ()), clamp)


def _with_gradients(rest, max_steps, tol):
    """The recall as a function of θ, the query and the clamp, with the gradients that it has at rest."""

    @jax.custom_vjp
    def end(theta, query, clamp):
        memory, update = eqx.combine(theta, rest)
        return recall(memory, query, update, max_steps, clamp=clamp, record=False).state

    def forward(theta, query, clamp):
        state = end(theta, query, clamp)
        return state, (theta, state, clamp)

    def backward(kept, cotangent):
        theta, state, clamp = kept
        of_theta, of_query = _pulled_back(rest, max_steps, tol, theta, state, clamp, cotangent)
        return of_theta, of_query, None

    end.defvjp(forward, backward)
    return end


@eqx.filter_jit  # a loop by itself would be compiled anew at each call
def _pulled_back(rest, max_steps, tol, theta, state, clamp, cotangent):
    """The gradients of θ and of the query."""

    def step(theta, state):
        memory, update = eqx.combine(theta, rest)
        prepared, tick = update.prepare(memory), Tick(jnp.zeros((), int), None, None)
        return update.step(prepared, state, update.init(prepared, state, tick), tick, clamp).state

    pull = jax.vjp(step, theta, state)[1]
    nothing = jax.tree.map(jnp.zeros_like, cotangent)

    # What is true of every round: λ is 0 at clamped neurons, which no step moves.
    def go_on(at):
        i, change, solution = at
        return (i < max_steps) & ~is_still(solution, change, jnp.asarray(tol, float))

    def improve(at):
        i, _, old = at
        new = jax.tree.map(jnp.add, cotangent, pull(old)[1])
        return i + 1, old, held(clamp, nothing, new)

    first = held(clamp, nothing, cotangent)
    solution = jax.lax.while_loop(go_on, improve, (0, nothing, first))[2]
    of_theta, of_state = pull(solution)
    of_query = jax.tree.map(lambda v, w: v + w, cotangent, of_state)
    return of_theta, held(clamp, of_query, nothing)
