"""Learning by energy: gradients of memories of several layers, from states at rest and not back in time.

    predictive coding         ∂E(s*),                          s* at rest with inputs and outputs clamped
    contrastive Hebbian       ∂E(s⁺) − ∂E(s⁻),                 with outputs clamped, and left free
    equilibrium propagation   [∂E(s_b) − ∂E(s_−b)] / 2b,       s_b at rest under E + b C for a cost C

States at rest are held: only the energy is differentiated, which for couplings is the product of the neurons
that they join.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from energyam import checks
from energyam.dynamics.recall import recall
from energyam.dynamics.states import check_memory, checked_states, declared_neurons, layers_of
from energyam.dynamics.update import AbstractUpdate
from energyam.memories.neurons import is_movable

Batch: TypeAlias = PyTree[ArrayLike]  # of states
Scalar = Float[Array, ""]
Cost = Callable[[PyTree[Array], PyTree[Array]], Scalar]


class Nudged(eqx.Module):
    """A memory whose energy is E + strength · cost(state, target), as equilibrium propagation needs it.

    **Arguments:** `memory`: one with an energy and a potential; `cost`: a function to a scalar; `target`:
    what it compares with; `strength`: b, of either sign.

        >>> memory = eam.ModernHopfield(jnp.eye(2), beta=1.0)
        >>> cost = lambda state, target: jnp.sum((state - target) ** 2)
        >>> nudged = eam.nn.Nudged(memory, cost, jnp.ones(2), 0.5)
        >>> float(nudged.energy(jnp.zeros(2)) - memory.energy(jnp.zeros(2)))
        1.0
    """

    memory: Any
    cost: Cost
    target: PyTree[Array]
    strength: Scalar = eqx.field(converter=partial(checks.as_floats, "strength", dims=""))

    def __check_init__(self):
        checks.function("cost", self.cost)
        _leaves("target", self.target)

    @property
    def neurons(self) -> Any:
        """Those of the memory."""
        return self.memory.neurons

    @property
    def state_shape(self) -> Any:
        """That of the memory."""
        return self.memory.state_shape

    @property
    def order(self) -> tuple[str, ...]:
        """That of the memory's layers, if it has one."""
        return getattr(self.memory, "order", ())

    @property
    def tokens(self) -> dict[str, bool]:
        """Those of the memory's layers that `Blockwise` must take token by token."""
        return getattr(self.memory, "tokens", {})

    def energy(self, state: PyTree[ArrayLike]) -> Scalar:
        """E(s) + b C(s)."""
        return self.memory.energy(state) + self.strength * self._cost(state)

    def potential(self, state: PyTree[ArrayLike]) -> Scalar:
        """P(s) − b C(s)."""
        return self.memory.potential(state) - self.strength * self._cost(state)

    def _cost(self, state):
        found = self.cost(state, self.target)
        if not isinstance(found, jax.Array | float) or jnp.ndim(found):
            raise ValueError(f"cost must return a scalar; got {found!r:.80}")
        return found


def equilibrium_propagation(
    memory: Any,
    queries: Batch,
    targets: Batch,
    cost: Cost,
    update: AbstractUpdate | None = None,
    max_steps: int = 100,
    *,
    clamp: Any,
    strength: ArrayLike = 0.1,
) -> Scalar:
    """A loss with the gradient [∂E(s_b) − ∂E(s_−b)] / 2b, near that of the cost at rest: its error is O(b²).

    **Arguments:** `memory`, `update`, `max_steps`, `clamp` (of the inputs): as for `recall`; `queries`: a
    batch of states (B, …), from which both recalls start; `targets` (B, …); `cost(state, target)` → scalar,
    for one of them; `strength`: b > 0. The loss is the mean of (F_b − F_−b) / 2b over the batch, where F_b
    is E + b C at its rest s_b: the mean cost at rest, up to O(b²). Raises `ValueError` as `recall` does, and
    for ±1 neurons.

    Scellier & Bengio, Frontiers in Computational Neuroscience 11 (2017); Laborieux et al., Frontiers in
    Neuroscience 15 (2021), for both signs.

        >>> layers = {"a": eam.Tanh(1.0, (2,)), "b": eam.Tanh(1.0, (2,))}
        >>> memory = eam.HierarchicalMemory(layers, [(eam.synapses.Dense(jnp.eye(2) / 2), ("a", "b"))])
        >>> queries, targets = {"a": jnp.array([[0.5, -0.5]]), "b": jnp.zeros((1, 2))}, jnp.full((1, 2), 0.2)
        >>> cost = lambda state, target: jnp.sum((state["b"] - target) ** 2)
        >>> clamp = {"a": True, "b": False}
        >>> loss = lambda memory: eam.nn.equilibrium_propagation(memory, queries, targets, cost, clamp=clamp)
        >>> rest = eam.recall(memory, queries, clamp=clamp).state
        >>> f"{loss(memory):.3f} near {jax.vmap(cost)(rest, targets).mean():.3f}"
        '0.207 near 0.200'
    """
    b = checks.positive_float("strength", strength)
    _check_moves(memory, "equilibrium_propagation")
    _check_clamp(clamp, queries)
    checks.function("cost", cost)

    def of_one(query, target):
        nudged = [Nudged(memory, cost, target, s) for s in (b, -b)]
        up, down = (one.energy(_at_rest(one, query, update, max_steps, clamp)) for one in nudged)
        return (up - down) / (2 * b)

    return _mean(of_one, memory, queries=queries, targets=targets)


def contrastive_hebbian(
    memory: Any,
    queries: Batch,
    update: AbstractUpdate | None = None,
    max_steps: int = 100,
    *,
    inputs: Mapping[str, ArrayLike],
    outputs: Mapping[str, ArrayLike],
) -> Scalar:
    """A loss with the gradient ∂E(s⁺) − ∂E(s⁻): right states get a lower energy, recalled ones a higher one.

    **Arguments:** `queries`: a batch of states (B, …) that hold the right outputs; `inputs` and `outputs`:
    dictionaries of clamps; both recalls hold the inputs, and only the first one also holds the outputs. The
    second recall starts where the first one ended. Other arguments and errors are those of `recall`.

    Movellan (1991); Xie & Seung, Neural Computation 15 (2003).

        >>> layers = {"a": eam.Tanh(1.0, (2,)), "b": eam.Tanh(1.0, (2,))}
        >>> memory = eam.HierarchicalMemory(layers, [(eam.synapses.Dense(jnp.eye(2) / 2), ("a", "b"))])
        >>> queries = {"a": jnp.array([[0.5, -0.5]]), "b": jnp.array([[-0.5, 0.5]])}  # b should be −a
        >>> held = dict(inputs={"a": True}, outputs={"b": True})
        >>> loss = lambda memory: eam.nn.contrastive_hebbian(memory, queries, **held)
        >>> slope = eqx.filter_grad(loss)(memory)
        >>> [weights] = jax.tree.leaves(slope.synapses)
        >>> (weights > 0).tolist()  # descent lowers what joins a to b, and raises what joins a to −b
        [[True, False], [False, True]]
    """
    check_memory(memory)
    for name, clamp in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(clamp, Mapping):
            why = "as some layers are held and others are not"
            wanted = f"a dictionary of layers, such as {{'image': True}}, {why}"
            raise ValueError(f"{name} must be {wanted}; got {clamp!r:.80}")
        unknown = [layer for layer in clamp if not isinstance(queries, Mapping) or layer not in queries]
        if unknown:
            raise ValueError(f"{name} must name layers of the queries; got {unknown[0]!r}")
    _must_hold("outputs", outputs)

    both = {**inputs, **outputs}
    for layer in inputs.keys() & outputs.keys():
        both[layer] = jnp.logical_or(inputs[layer], outputs[layer])

    def of_one(query):
        right = _at_rest(memory, query, update, max_steps, both)
        free = _at_rest(memory, right, update, max_steps, inputs)
        return memory.energy(right) - memory.energy(free)

    return _mean(of_one, memory, queries=queries)


def predictive_coding(
    memory: Any, queries: Batch, update: AbstractUpdate | None = None, max_steps: int = 100, *, clamp: Any
) -> Scalar:
    """A loss with the gradient ∂E(s*) at rest, which is that of min_s E(s), inputs and outputs being held.

    For layers that predict each other (`synapses.Prediction`) this is predictive coding. Of linear layers of
    weights W₁ … W_L, with a free input, the lowest energy is ½ eᵀ S⁻¹ e, where e = y − W_L … W₁ x and
    S = I + Σ_{l≥2} (W_L … W_l)(W_L … W_l)ᵀ.

    **Arguments:** `queries`: a batch of states (B, …) with inputs and outputs in place; `clamp`: which layers
    these are. Other arguments are those of `recall`. Raises `ValueError` as `recall` does, and for ±1
    neurons.

    Rao & Ballard, Nature Neuroscience 2 (1999); Whittington & Bogacz, Neural Computation 29 (2017).

        >>> layers = {"a": eam.Continuous((2,)), "b": eam.Continuous((2,))}
        >>> predicts = eam.synapses.Prediction(lambda x: 2 * x)
        >>> memory = eam.HierarchicalMemory(layers, [(predicts, ("a", "b"))])
        >>> queries = {"a": jnp.array([[1.0, 1.0]]), "b": jnp.array([[2.0, 4.0]])}
        >>> held = {"a": True, "b": True}
        >>> float(eam.nn.predictive_coding(memory, queries, clamp=held))  # ½ ‖b − 2a‖² + ½ ‖a‖²
        3.0
    """
    _check_moves(memory, "predictive_coding")
    _check_clamp(clamp, queries)
    if len(jax.tree.leaves(queries)) < 2:
        got = "one, in which nothing is predicted"
        hint = "(use nn.denoising_score_matching, or gradients through recall)"
        raise ValueError(f"queries must have several layers, inputs and outputs among them; got {got} {hint}")
    of_one = lambda query: memory.energy(_at_rest(memory, query, update, max_steps, clamp))  # noqa: E731
    return _mean(of_one, memory, queries=queries)


def _check_moves(memory: Any, rule: str) -> None:
    """Raise `ValueError` for what is no memory, and for one of ±1 neurons."""
    check_memory(memory)
    if any(map(is_movable, declared_neurons(memory))):
        wanted = "continuous neurons, whose rest moves a little where the energy does"
        hint = "(use nn.contrastive_hebbian, nn.pseudo_likelihood or nn.contrastive_divergence)"
        raise ValueError(f"{rule} needs {wanted}; those of {type(memory).__name__} are ±1 {hint}")


def _at_rest(memory, query, update, max_steps, clamp):
    """Where a recall ends, as a constant."""
    arrays, rest = eqx.partition((memory, query), eqx.is_inexact_array)
    memory, query = eqx.combine(jax.lax.stop_gradient(arrays), rest)
    return jax.lax.stop_gradient(recall(memory, query, update, max_steps, clamp=clamp, record=False).state)


def _mean(of_one, memory, **batches):
    """The mean of a function of one query, or one and its target; both are batches of one length, by name."""
    found = {name: jax.tree.map(jnp.asarray, _leaves(name, batch)) for name, batch in batches.items()}
    axes = checked_states(
        layers_of(memory, found["queries"], False, "queries"), found["queries"], "queries"
    ).axes
    if len(axes) != 1 or 0 in axes:
        raise ValueError(f"queries must be a batch (B, …), B at least 1; got leading axes {axes}")
    for name, batch in found.items():
        wrong = [leaf.shape for leaf in jax.tree.leaves(batch) if leaf.shape[:1] != axes]
        if wrong:
            raise ValueError(f"{name} must be a batch of {axes[0]}, as queries are; got shape {wrong[0]}")
    return jnp.mean(jax.vmap(of_one)(*found.values()))


def _leaves(name, batch):
    """A pytree of arrays; raises `ValueError` for any other, and for one without leaves."""
    if not jax.tree.leaves(batch):
        raise ValueError(f"{name} must be an array, or arrays of layers; got {batch!r:.80}")
    return jax.tree.map(lambda leaf: checks.as_array(name, leaf, "..."), batch)


def _check_clamp(clamp, queries):
    """Raise `ValueError` where none of several layers is held, so that nothing follows from an input."""
    if clamp is None and len(jax.tree.leaves(queries)) > 1:
        raise ValueError(
            "clamp must say which layers are held, say {'image': True, 'label': False}; got None"
        )
    if isinstance(clamp, Mapping):
        _must_hold("clamp", clamp)


def _must_hold(name, clamp):
    """Raise `ValueError` for a dictionary of clamps that surely holds nothing."""
    values = clamp.values()
    if all(map(checks.is_known, values)) and not any(np.any(np.asarray(value)) for value in values):
        raise ValueError(f"{name} must hold a layer, or some of its neurons; got {clamp!r:.80}")
