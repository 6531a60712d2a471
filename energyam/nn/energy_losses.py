"""Losses that train an energy; they are differentiable in all float arrays of the memory."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.fields import normal_like
from energyam.dynamics.gradient import check_real
from energyam.dynamics.moves import check_moves, ready, view_of
from energyam.dynamics.sampling import sample
from energyam.dynamics.states import Layers, as_working, check_memory, checked_states, layers_of, random_layer
from energyam.dynamics.update import AbstractUpdate
from energyam.flips.derived import scalar_energy

Batch: TypeAlias = PyTree[ArrayLike]  # of states
Scalar = Float[Array, ""]


def pseudo_likelihood(memory: Any, states: Batch, temperature: ArrayLike = 1.0) -> Scalar:
    """Minus the log-likelihood of each neuron given all others, summed over neurons, the mean over states.

        mean_x Σ_i log(1 + Σ_k exp(change_ik / T)),   change_ik = E(x) − E(x with neuron i at its other value
        k)

    For neurons of two values this is Σ_i softplus(change_i / T); a one-hot unit counts as one neuron.

    It needs no samples and no partition function. If the data are distributed as exp(−E/T) for some
    parameters, these minimise it. Divide by the number of neurons to compare memories of different sizes.

    **Arguments:** `memory`: one of ours with ±1 neurons, or an object with a differentiable `energy(state)`
    (patterns must be floats to be trained, `DenseAM(patterns * 1.0, …)`); `states` (*batch, D), or a pytree
    of layers, of which those ±1 are flipped; `temperature`: T > 0. A dense memory takes B·D·K floats.
    Raises `ValueError` for others.

    Besag, The Statistician 24 (1975).

        >>> states = jnp.array([[1, 1], [-1, -1]])
        >>> networks = [eam.HopfieldNetwork(w * (jnp.ones((2, 2)) - jnp.eye(2))) for w in (1.0, -1.0)]
        >>> losses = [eam.nn.pseudo_likelihood(network, states) for network in networks]
        >>> np.asarray(losses).round(3)  # 2 log(1 + e^∓2)
        array([0.254, 4.254], dtype=float32)
    """
    T = checks.positive_float("temperature", temperature)

    def loss(changes, present):
        logits = jnp.where(present, changes / T, -jnp.inf)
        if logits.shape[1] == 1:
            return jax.nn.softplus(logits[:, 0])
        return jax.nn.logsumexp(jnp.pad(logits, ((0, 0), (1, 0))), axis=1)  # the 0 of the value it has

    return _mean_over_moves(memory, states, loss)


def probability_flow(memory: Any, states: Batch, temperature: ArrayLike = 1.0) -> Scalar:
    """The rate at which probability would flow from the states to their neighbours: minimum probability flow.

        mean_x Σ_ik exp(change_ik / 2T),   change_ik = E(x) − E(x with neuron i at its other value k)

    It is small if each state has a lower energy than all its neighbours, with a margin. Trained by it, a
    `HopfieldNetwork` stores more patterns than by Storkey's rule or the pseudo-inverse. Arguments and errors
    are those of `pseudo_likelihood`.

    Sohl-Dickstein, Battaglino & DeWeese, Phys. Rev. Lett. 107 (2011); Hillar,
    Sohl-Dickstein & Koepsell, arXiv:1204.2916 (2012).

        >>> states = jnp.array([[1, 1], [-1, -1]])
        >>> networks = [eam.HopfieldNetwork(w * (jnp.ones((2, 2)) - jnp.eye(2))) for w in (1.0, -1.0)]
        >>> [round(float(eam.nn.probability_flow(network, states)), 3) for network in networks]  # 2 e^∓1
        [0.736, 5.437]
    """
    T = checks.positive_float("temperature", temperature)
    flow = lambda changes, present: jnp.where(present, jnp.exp(changes / (2 * T)), 0)  # noqa: E731
    return _mean_over_moves(memory, states, flow)


def contrastive_divergence(
    memory: Any,
    states: Batch,
    update: AbstractUpdate,
    num_steps: int,
    *,
    key: PRNGKeyArray,
    start: Batch | None = None,
) -> tuple[Scalar, PyTree[Array]]:
    """The mean energy of the states minus that of chains, and the final states of the chains.

        mean E(states) − mean E(chains),   the chains being `num_steps` steps of `update` from `start`

    Its gradient is T times that of −log p(states) where the chains sample exp(−E/T); with few steps from the
    states themselves (the default) it is biased towards energies that keep the states where they are. Pass
    the final states as the next `start` to continue the chains (persistent contrastive divergence). The value
    itself means little.

    If the states of the memory are a dictionary of layers, `states` may have only the visible ones. The
    others are hidden: they are drawn from a random start by `num_steps` steps of `update` with the visible
    layers held, and p(states) is the sum over them. One step of `BlockGibbs` or `HeatBath` draws them exactly
    if they are independent given the visible layers.

    **Arguments:** `states` (*batch, D) or a pytree of layers; `update`: say `HeatBath(1.0)`, or
    `BlockGibbs()` for layers; `num_steps`: at least 1; `key`; `start` (*chains, D): where the chains start,
    which may leave out the hidden layers too. Raises `ValueError` as `sample` does.

    Hinton, Neural Computation 14 (2002); Tieleman, ICML 2008.

        >>> network = eam.HopfieldNetwork(jnp.zeros((2, 2)))
        >>> states = jnp.array([[1, 1], [-1, -1]] * 50)
        >>> settings = states, eam.HeatBath(1.0), 1
        >>> loss = lambda network: eam.nn.contrastive_divergence(network, *settings, key=jr.key(0))
        >>> slope, chains = eqx.filter_grad(loss, has_aux=True)(network)
        >>> bool(slope.weights[0, 1] < 0), chains.shape  # descent joins what is equal in the data
        (True, (100, 2))
    """
    update = checks.instance("update", update, AbstractUpdate)
    num_steps = checks.count("num_steps", num_steps)
    check_memory(memory)
    held = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, memory)
    states = _completed(held, states, update, num_steps, key=key)
    layers = layers_of(memory, states, update.moves_neurons, "states")
    _flat(layers, states, "states")  # raises what it raises
    begin = states if start is None else _completed(held, start, update, num_steps, key=key)
    found = sample(held, begin, update, 1, key=key, every=num_steps)
    axes = found.energies.ndim - 1
    ends = jax.tree.map(lambda leaf: jnp.squeeze(leaf, axis=axes), found.states)
    energy = lambda given, name: _mean(layers, given, name, scalar_energy(memory))  # noqa: E731
    return energy(states, "states") - energy(ends, "start"), ends


def _completed(memory, states, update, num_steps, *, key):
    """States with missing layers drawn at random, or the states as they are."""
    shapes = getattr(memory, "state_shape", None)
    if not isinstance(shapes, Mapping) or not isinstance(states, Mapping) or not states:
        return states
    unknown = [name for name in states if name not in shapes]
    if unknown:
        raise ValueError(f"states must hold layers of the memory, {list(shapes)}; got {unknown[0]!r}")
    visible, hidden = next(iter(states)), [name for name in shapes if name not in states]
    if not hidden:
        return states
    layers = layers_of(memory, shapes, update.moves_neurons, "states")
    axes = jnp.shape(states[visible])[: jnp.ndim(states[visible]) - len(shapes[visible])]
    of_start, of_steps = jr.split(jr.fold_in(key, 1))

    def start(key):
        pairs = enumerate(zip(layers.neurons, layers.shapes, strict=True))
        parts = [random_layer(one, shape, key=jr.fold_in(key, i)) for i, (one, shape) in pairs]
        return {name: leaf for name, leaf in layers.structure.unflatten(parts).items() if name in hidden}

    drawn = jax.vmap(start)(jr.split(of_start, math.prod(axes)))
    drawn = {name: leaf.reshape(*axes, *leaf.shape[1:]) for name, leaf in drawn.items()}
    clamp = dict.fromkeys(states, True)
    found = sample(memory, {**states, **drawn}, update, 1, key=of_steps, every=num_steps, clamp=clamp)
    return {**states, **{name: jnp.squeeze(found.states[name], axis=len(axes)) for name in hidden}}


def denoising_score_matching(
    memory: Any, states: Batch, noise: ArrayLike, temperature: ArrayLike = 1.0, *, key: PRNGKeyArray
) -> Scalar:
    """The error of the slope of the energy at noisy states as an estimate of the noise.

        mean ½ ‖σ ∇E(x + σ ε) / T − ε‖²,   ε ~ N(0, 1)

    Its minimum is the density of the *noisy* states: of Gaussian data of variance v, E = x²T / 2(v + σ²).

    **Arguments:** `memory`: an energy of real neurons; `states` (*batch, D), or a pytree of layers; `noise`:
    σ > 0; `temperature`: T > 0; `key`. Raises `ValueError` for others, for ±1 neurons, and for neurons that
    noise takes out of their range (bounded ones, and those that constrain one another).

    Vincent, Neural Computation 23 (2011).

        >>> states = jr.normal(jr.key(0), (1000, 2))
        >>> memories = [eam.ModernHopfield(jnp.zeros((1, 2)) + shift, beta=1.0) for shift in (0.0, 2.0)]
        >>> loss = lambda memory: eam.nn.denoising_score_matching(memory, states, 0.1, key=jr.key(1))
        >>> bool(loss(memories[0]) < loss(memories[1]))  # the data lie around 0
        True
    """
    sigma = checks.positive_float("noise", noise)
    T = checks.positive_float("temperature", temperature)
    checks.key("key", key)
    check_memory(memory)
    check_real(memory, "denoising_score_matching")
    layers = layers_of(memory, states, False, "states")
    far = np.array([-1e3, 1e3])
    for name, one in zip(layers.names, layers.neurons, strict=True):
        # Neurons whose states, moved by noise, are none of theirs any more, are refused.
        nearest = checks.now(lambda x, one=one: one.retract(jnp.asarray(x, float)), far)
        if one.coupled or not checks.passes(lambda x: (x == far).all(), nearest):
            wanted = "neurons that may take any value, as noise moves them"
            got = f"{type(one).__name__} for {'layer ' + name if name else 'the neurons'}"
            hint = "(use nn.equilibrium_propagation, or gradients through recall)"
            raise ValueError(f"denoising_score_matching needs {wanted}; got {got} {hint}")
    flat = _flat(layers, states, "states")
    keys = jr.split(key, jax.tree.leaves(flat)[0].shape[0])

    def loss(key, state):
        drawn = normal_like(state, key=key)
        slope = jax.grad(scalar_energy(memory))(jax.tree.map(lambda x, e: x + sigma * e, state, drawn))
        squares = jax.tree.map(lambda s, e: jnp.sum((sigma * s / T - e) ** 2), slope, drawn)
        return 0.5 * sum(jax.tree.leaves(squares))

    return jax.vmap(loss)(keys, flat).mean()


def _mean_over_moves(memory, states, loss):
    check_memory(memory)
    check_moves(memory, "the loss", "use nn.denoising_score_matching")
    layers = layers_of(memory, states, True, "states")

    def of_one(state):
        return loss(*view_of(ready(memory, exact=False), state).changes()).sum()

    return _mean(layers, states, "states", of_one)


def _mean(layers: Layers, states: Batch, name: str, function: Any) -> Scalar:
    """The mean of a function of one state over a batch of them."""
    return jax.vmap(function)(_flat(layers, states, name)).mean()


def _flat(layers, states, name):
    """Checked states as floats with one leading axis."""
    batch = checked_states(layers, states, name)
    if 0 in batch.axes:
        raise ValueError(f"{name} must hold at least one state; got leading axes {batch.axes}")
    working = as_working(batch.states, batch.axes)
    return working if batch.axes else jax.tree.map(lambda leaf: leaf[None], working)
