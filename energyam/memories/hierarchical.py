"""Hierarchical memories: layers of any neurons, coupled by any synapses, under one energy."""

from collections.abc import Callable, Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.linalg import float_dtype
from energyam.memories.hidden import AbstractRedraws, LayerRedraws, can_be_drawn
from energyam.memories.neurons import AbstractNeurons
from energyam.shown import shown

Synapse = Callable[..., Float[Array, ""]]
Pair = tuple[Synapse, Sequence[str]]  # a synapse, and the names of its layers
Shape = tuple[int, ...]


@shown()
class HierarchicalMemory(eqx.Module):
    """Layers of neurons and the synapses between them: E(g) = Σ_layers R_l(g_l) − Σ_synapses P_s(g).

    A state is a dictionary of activations, one array for each layer; `recall` takes leading batch axes on all
    of them. With a convex Lagrangian L_l of the literature R_l is its dual, so this is the energy
    Σ_l (x_l · g_l − L_l(x_l)) − Σ_s P_s.

    **Arguments:** `neurons`: a name → neurons with a shape, in the order in which `Blockwise` visits them;
    `synapses`: pairs of a synapse and the names of its layers, `(synapse, ("image", "hidden"))`. A synapse
    is any function or module from the activations of its layers, in that order, to a scalar.

    Raises `ValueError` for neurons without a shape, for names of layers that don't exist, and for a synapse
    that does not take layers of these shapes or does not give a scalar.

    Krotov, "Hierarchical associative memory" (2021); Hoover et al., "A universal abstraction for hierarchical
    Hopfield networks" (2022).

        >>> neurons = {"seen": eam.Continuous((2,)), "hidden": eam.Softmax(4.0, (3,))}
        >>> dense = eam.synapses.Dense(jnp.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]))
        >>> memory = eam.HierarchicalMemory(neurons, [(dense, ("seen", "hidden"))])
        >>> start = {"seen": jnp.array([0.2, 0.9]), "hidden": jnp.full(3, 1 / 3)}
        >>> np.asarray(eam.recall(memory, start).state["hidden"]).round(2)
        array([0.02, 0.96, 0.02], dtype=float32)
    """

    neurons: dict[str, AbstractNeurons]
    synapses: tuple[Synapse, ...]
    connections: tuple[tuple[str, ...], ...] = eqx.field(static=True)  # the layers of each synapse
    names: tuple[str, ...] = eqx.field(static=True)  # of the layers: dictionaries are sorted by jit
    remade = False  # from its fields: `synapses` without the names of their layers are no pairs

    def __init__(self, neurons: Mapping[str, AbstractNeurons], synapses: Sequence[Pair]):
        self.neurons = _checked_neurons(neurons)
        if isinstance(synapses, Mapping | str | bytes) or not isinstance(synapses, Sequence):
            got = type(synapses).__name__
            raise ValueError(f"synapses must be a list of pairs (synapse, names of its layers); got {got}")
        pairs = [_checked_pair(i, pair, self.neurons) for i, pair in enumerate(synapses)]
        self.synapses = tuple(synapse for synapse, _ in pairs)
        self.connections = tuple(names for _, names in pairs)
        self.names = tuple(neurons)

    def __check_init__(self):
        _checked_neurons(self.neurons)
        for i, pair in enumerate(zip(self.synapses, self.connections, strict=True)):
            _checked_pair(i, pair, self.neurons)
        for i, (synapse, names) in enumerate(zip(self.synapses, self.connections, strict=True)):
            _check_fits(f"synapses[{i}] ({_called(synapse)})", synapse, names, self.state_shape)

    @property
    def state_shape(self) -> dict[str, Shape]:
        """A layer's name → its shape."""
        return {name: tuple(map(int, neurons.shape or ())) for name, neurons in self.neurons.items()}

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the layers, in the order given."""
        return self.names

    @property
    def tokens(self) -> dict[str, bool]:
        """The layers in which P is not convex as a whole, each with whether P is convex in each of its
        tokens."""
        found: dict[str, bool] = {}
        for synapse, names in zip(self.synapses, self.connections, strict=True):
            convex = getattr(synapse, "convex_in_tokens", None)
            if convex is not None:
                found |= {name: found.get(name, True) and convex for name in names}
        return found

    @property
    def multilinear(self) -> bool:
        """Whether P is linear in each layer, the others being fixed: all its synapses say so, and none
        couples a layer with itself."""
        linear = all(getattr(synapse, "multilinear", False) for synapse in self.synapses)
        return linear and all(len(set(names)) == len(names) for names in self.connections)

    def redraws(self) -> AbstractRedraws | None:
        """How whole layers are drawn at once, given the others; None where they depend on one another."""
        drawn = all(map(can_be_drawn, self.neurons.values()))
        return LayerRedraws(self) if self.multilinear and drawn else None

    def energy(self, state: Mapping[str, ArrayLike]) -> Float[Array, ""]:
        """E(g), a scalar for one state; raises `ValueError` for other layers or shapes."""
        return _energy(self, self._checked(state))

    def potential(self, state: Mapping[str, ArrayLike]) -> Float[Array, ""]:
        """Σ_s P_s, whose gradients are the fields at the layers; raises `ValueError` as `energy` does."""
        return _potential(self, self._checked(state))

    def field(self, state: Mapping[str, ArrayLike]) -> dict[str, Float[Array, "..."]]:
        """∂P/∂g, the field at each neuron, as a dictionary like the state."""
        return _field(self, self._checked(state))

    def sums_out(self, *names: str) -> bool:
        """Whether `free_energy` sums over these layers in closed form: given the other layers, their neurons
        are independent of one another, and the sum over the values of a neuron is known."""
        for synapse, joined in zip(self.synapses, self.connections, strict=True):
            touched = sum(name in names for name in joined)
            if touched > 1 or (touched and not getattr(synapse, "multilinear", False)):
                return False
        return all(_sums(self.neurons[name]) for name in names)

    def free_energy(self, visible: Mapping[str, ArrayLike], temperature: ArrayLike = 1.0) -> Float[Array, ""]:
        """F(v) = −T log Σ_h exp(−E(v, h)/T), a sum, or an integral, over all layers h that are left out.

            F(v) = Σ_visible R(v) − P(v, 0) − T Σ_i log Σ_h exp((h · field_i(v) − R(h))/T)

        So exp(−F(v)/T) / Z is the probability of v, and F may be differentiated in the memory and in v. With
        no layer left out, F is the energy.

        **Arguments:** `visible`: layer → activations, of one state (use `jax.vmap` for a batch);
        `temperature`: T > 0. Raises `ValueError` for others, and where the layers left out can't be summed
        over in closed form (`sums_out`): they must be joined by linear synapses to visible layers alone.

        Smolensky, "Information processing in dynamical systems: foundations of harmony theory" (1986).
        """
        T = checks.positive_float("temperature", temperature)
        if not isinstance(visible, Mapping) or not visible or not visible.keys() <= self.neurons.keys():
            got = sorted(visible) if isinstance(visible, Mapping) else type(visible).__name__
            raise ValueError(
                f"visible must be a dictionary of some of the layers {list(self.order)}; got {got}"
            )
        hidden = [name for name in self.order if name not in visible]
        if not self.sums_out(*hidden):
            why = "are joined to one another, or by synapses that are not linear, or have no known sum"
            hint = "(use evaluation.annealed_log_partition for their sum, or leave out fewer)"
            raise ValueError(f"visible must hold the layers that {hidden} depend on; these {why} {hint}")
        return _free_energy(
            self,
            {n: _checked_layer(f"visible[{n!r}]", x, self.state_shape[n]) for n, x in visible.items()},
            T,
        )

    def _checked(self, state) -> dict[str, Array]:
        if not isinstance(state, Mapping) or state.keys() != self.neurons.keys():
            got = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"state must be a dictionary of the layers {list(self.order)}; got {got}")
        return {n: _checked_layer(f"state[{n!r}]", state[n], shape) for n, shape in self.state_shape.items()}


@eqx.filter_jit
def _energy(memory, state):
    costs = [neurons.energy(state[name]) for name, neurons in memory.neurons.items()]
    return sum(costs) - _potential(memory, state)


@eqx.filter_jit
def _potential(memory, state):
    pairs = zip(memory.synapses, memory.connections, strict=True)
    found = [synapse(*(state[name] for name in names)) for synapse, names in pairs]
    return sum(found, jnp.zeros((), jnp.result_type(float)))


@eqx.filter_jit
def _free_energy(memory, visible, temperature):
    shapes = memory.state_shape
    hidden = {name: jnp.zeros(shape) for name, shape in shapes.items() if name not in visible}
    potential, fields = jax.value_and_grad(lambda h: _potential(memory, visible | h))(hidden)
    energy = sum(memory.neurons[name].energy(layer) for name, layer in visible.items()) - potential
    for name, field in fields.items():
        logs = memory.neurons[name].log_partition(field, jnp.zeros(()), temperature)
        energy = energy - temperature.astype(energy.dtype) * jnp.sum(logs)
    return energy


def _sums(neurons):
    one = jnp.zeros(neurons.unit or 1)
    return jax.eval_shape(lambda: neurons.log_partition(one, jnp.zeros(()), jnp.ones(()))) is not None


@eqx.filter_jit
def _field(memory, state):
    return jax.grad(lambda state: _potential(memory, state))(state)


def _checked_layer(name: str, layer: ArrayLike, shape: Shape) -> PyTree[Array]:
    array = checks.as_array(name, layer, "...")
    if array.shape != shape:
        wanted, got = f"{shape}, the layer's shape", f"shape {array.shape} (use jax.vmap for a batch)"
        raise ValueError(f"{name} must be {wanted}; got {got}")
    return checks.as_floats(name, array.astype(float_dtype(array.dtype)), "...")


def _checked_neurons(neurons):
    if not isinstance(neurons, Mapping) or not neurons:
        got = type(neurons).__name__ + " without layers" * isinstance(neurons, Mapping)
        raise ValueError(f"neurons must be a dictionary from names of layers to neurons; got {got}")
    for name, one in neurons.items():
        if not isinstance(name, str):
            raise ValueError(f"neurons must have strings as names of layers; got {name!r}")
        checks.instance(f"neurons[{name!r}]", one, AbstractNeurons)
        if not _is_shape(one.shape):
            wanted = "a shape, a tuple of whole numbers above 0"
            hint = f"(say {type(one).__name__}(shape=(D,)))"
            raise ValueError(f"neurons[{name!r}] must have {wanted}; got {one.shape!r} {hint}")
    return dict(neurons)


def _is_shape(shape):
    return isinstance(shape, tuple) and all(isinstance(size, int | np.integer) and size > 0 for size in shape)


def _checked_pair(i, pair, neurons):
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not callable(pair[0]):
        raise ValueError(f"synapses[{i}] must be a pair (synapse, names of its layers); got {pair!r:.80}")
    synapse, names = pair
    if isinstance(synapse, type):
        raise ValueError(f"synapses[{i}] must have a synapse, not the class {synapse.__name__}; make one")
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise ValueError(f"synapses[{i}] must name its layers in a tuple, such as ('image',); got {names!r}")
    for name in names:
        if name not in neurons:
            wanted = f"must name layers of the memory, {list(neurons)}"
            raise ValueError(f"synapses[{i}] ({_called(synapse)}) {wanted}; got {name!r}")
    return synapse, tuple(names)


def _check_fits(label, synapse, names, shapes):
    """Trace the synapse with layers of these shapes; raises `ValueError` unless it gives a scalar."""
    layers = ", ".join(f"{name!r} {shapes[name]}" for name in names)
    like = [jax.ShapeDtypeStruct(shapes[name], jnp.result_type(float)) for name in names]
    try:
        found = jax.eval_shape(lambda *layers: synapse(*layers), *like)
    except Exception as error:
        raise ValueError(f"{label} does not fit its layers, {layers}: {error}") from error
    if getattr(found, "shape", None) != () or not jnp.issubdtype(found.dtype, jnp.floating):
        got = f"shape {found.shape}, dtype {found.dtype}" if hasattr(found, "shape") else f"{found!r:.80}"
        raise ValueError(f"{label} must give a real scalar for its layers, {layers}; got {got}")


def _called(synapse):
    return getattr(synapse, "__name__", type(synapse).__name__)
