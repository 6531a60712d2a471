"""A small network as a memory, written by gradient descent while it is read: test-time training, Titans."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree, ScalarLike

from energyam import checks
from energyam.wording import in_one_line


class GradientMemory(eqx.Module):
    """A network whose weights are the memory, with the velocity (momentum) from earlier gradients.

        read(q) = network(q)

    **Arguments:** `network`: any Equinox module, or pytree of arrays that can be called, from one key (Dk,)
    to one value (Dv,); its floating arrays are what `gradient_step` writes. The velocity starts at 0. Raises
    `ValueError` for an object that can't be called.

        >>> memory = eam.learning.GradientMemory(eqx.nn.Linear(2, 1, key=jr.key(0)))
        >>> memory(jnp.array([1.0, 0.0])).shape
        (1,)
    """

    network: Callable[[Array], Array]
    velocity: PyTree

    def __init__(self, network: Callable[[Array], Array]):
        if not callable(network) or isinstance(network, type):
            raise ValueError(f"network must be a module that maps a key to a value; got {network!r}"[:200])
        self.network = network
        self.velocity = jax.tree.map(jnp.zeros_like, eqx.filter(network, eqx.is_inexact_array))

    def __call__(self, query: ArrayLike) -> Float[Array, " Dv"]:
        """The value (Dv,) that the network has for one query (Dk,)."""
        return _read("query", self.network, checks.as_floats("query", query, "Dk"))


def gradient_step(
    memory: GradientMemory,
    key: ArrayLike,
    value: ArrayLike,
    *,
    rate: ScalarLike,
    decay: ScalarLike = 1.0,
    momentum: ScalarLike = 0.0,
    at: GradientMemory | None = None,
) -> GradientMemory:
    """Write one pair into a network by a step of gradient descent, with momentum and weight decay.

        velocity <- momentum · velocity − rate · ∂ ½‖f(k) − v‖²
        weights  <- decay · weights + velocity

    For one matrix without momentum this is `delta_step`, apart from where the decay acts. It is the write of
    test-time training (Sun et al. 2024, "Learning to (learn at test time)") and, with momentum, of the memory
    of Titans (Behrouz, Zhong & Mirrokni 2025, "Titans: learning to memorize at test time"; 1 − decay is their
    forget gate).

    For a linear network without momentum, a pair's error f(k) − v shrinks at rates 0 < rate < 2/λ, where λ is
    the largest eigenvalue of J Jᵀ, J being the derivative of f(k) by the weights: ‖k‖² for W k, ‖k‖² + 1 for
    W k + b. With a momentum, and one pair again and again, the limit is 2 (1 + momentum)/λ. The J of other
    networks changes as they learn, so their range is not known in advance: `write` and `stream` refuse a rate
    once the weights, or what they read, are no longer finite. In a chunk of `stream`, J holds all its pairs:
    C pairs may divide the range by C.

    **Arguments:** `memory`: a `GradientMemory`; `key` (Dk,) and `value` (Dv,): real numbers; `rate`: at least
    0; `decay` and `momentum`: from 0 to 1; `at`: the memory at whose weights the gradient is taken, `memory`
    itself unless given. A chunk of `stream` takes all gradients at the weights that it starts from, as the
    two papers do. Raises `ValueError` for others, and for a value of another shape than the network's.

        >>> memory = eam.learning.GradientMemory(eqx.nn.Linear(2, 1, key=jr.key(0)))
        >>> key, value = jnp.array([1.0, 0.0]), jnp.array([3.0])
        >>> memories = memory, eam.learning.gradient_step(memory, key, value, rate=0.2)
        >>> errors = [abs(memory(key) - value) for memory in memories]
        >>> np.asarray(errors[1] / errors[0]).round(2)  # 1 − rate (‖k‖² + 1), the 1 being the bias
        array([0.6], dtype=float32)
    """
    memory = checks.instance("memory", memory, GradientMemory, " (say GradientMemory(network))")
    options = _options(rate, decay, momentum)
    at = memory if at is None else checks.instance("at", at, GradientMemory)
    gradient = gradient_at(at.network, key, value)
    weights, fixed = eqx.partition(memory.network, eqx.is_inexact_array)

    def moved(velocity, gradient):
        rate, _, momentum = (option.astype(velocity.dtype) for option in options)
        return momentum * velocity - rate * gradient

    velocity = jax.tree.map(moved, memory.velocity, gradient)
    weights = jax.tree.map(lambda w, step: options[1].astype(w.dtype) * w + step, weights, velocity)
    return eqx.tree_at(lambda m: (m.network, m.velocity), memory, (eqx.combine(weights, fixed), velocity))


def gradient_at(network: Callable[[Array], Array], key: ArrayLike, value: ArrayLike) -> PyTree:
    """The gradient of ½‖f(k) − v‖² with respect to the floating arrays of a network f."""
    key, value = checks.as_floats("key", key, "Dk"), checks.as_floats("value", value, "Dv")

    def half_square(network):
        read = _read("key", network, key)
        if read.shape != value.shape:
            raise ValueError(f"value must be {read.shape}, as the network's; got shape {value.shape}")
        return 0.5 * jnp.sum((read - value.astype(read.dtype)) ** 2)

    return eqx.filter_grad(half_square)(network)


def _read(name, network, x):
    """What a network reads; raises `ValueError` for a vector of another length than it takes."""
    try:
        return network(x)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be what the network takes; got shape {x.shape} ({in_one_line(error)})"
        ) from error


def _options(rate, decay, momentum):
    fractions = (
        checks.fraction(name, value, "") for name, value in (("decay", decay), ("momentum", momentum))
    )
    return checks.not_negative("rate", rate, ""), *fractions
