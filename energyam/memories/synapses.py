"""Synapses: what couples the layers of a hierarchical memory, each a potential P of its layers' activations.

    E(g) = Σ_layers R_l(g_l) − Σ_synapses P_s(g_a, g_b, …)

Any function or module that gives a scalar is a synapse. It may say `multilinear = True` if P is linear in
each of its layers, so that `BlockGibbs` can draw whole layers. It must say `convex_in_tokens` if P is not
convex in a whole layer: True if P is convex in each of its tokens, else False. `Blockwise` needs to know
this. Hoover et al., "A universal abstraction for hierarchical Hopfield networks" (2022), whose energies of
synapses are −P.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num

from energyam import checks
from energyam.linalg import dot, float_dtype, overlaps
from energyam.memories.separation import AbstractSeparation
from energyam.names import public_names


class Dense(eqx.Module):
    """Every neuron of one layer coupled with every neuron of another: P = g₁ᵀ W g₂.

    **Arguments:** `weights` (*shape of the first layer, *shape of the second), for layers of one axis
    (D₁, D₂). Raises `ValueError` for NaN, and for layers of other shapes. A layer coupled with itself counts
    every pair twice, and P is convex in it if W + Wᵀ is positive semidefinite.

        >>> float(eam.synapses.Dense(jnp.array([[1.0, 2.0]]))(jnp.array([3.0]), jnp.array([1.0, 1.0])))
        9.0
    """

    weights: Float[Array, "..."]
    multilinear: ClassVar[bool] = True

    def __init__(self, weights: ArrayLike):
        self.weights = checks.as_floats("weights", weights, "... first second")

    def __call__(self, first: Float[Array, "..."], second: Float[Array, "..."]) -> Float[Array, ""]:
        if self.weights.shape != first.shape + second.shape:
            wanted = f"{first.shape + second.shape} for layers of {first.shape} and {second.shape}"
            raise ValueError(f"weights must be {wanted}; got shape {self.weights.shape}")
        weights = self.weights.reshape(first.size, second.size)
        return dot(first.reshape(-1), dot(weights, second.reshape(-1)))


class Bias(eqx.Module):
    """A constant field at each neuron of a layer: P = b · g.

    **Arguments:** `bias`, of the layer's shape or its last axes. Raises `ValueError` for others, and NaN.

        >>> float(eam.synapses.Bias(jnp.array([1.0, 2.0]))(jnp.array([3.0, 0.5])))
        4.0
    """

    bias: Float[Array, "..."]
    multilinear: ClassVar[bool] = True

    def __init__(self, bias: ArrayLike):
        self.bias = checks.as_floats("bias", bias, "... D")

    def __call__(self, layer: Float[Array, "..."]) -> Float[Array, ""]:
        if layer.shape[layer.ndim - self.bias.ndim :] != self.bias.shape:
            raise ValueError(f"bias must be {layer.shape} or its last axes; got shape {self.bias.shape}")
        return dot(layer.reshape(-1, self.bias.size), self.bias.reshape(-1)).sum()


class Convolution(eqx.Module):
    """Neighbourhoods in one layer coupled with neurons of another: P = ⟨g₂, kernel ∗ g₁⟩.

    The first layer is (channels, *space), the second (features, *space), as `jax.lax.conv` has them; the
    field at the first is the transposed convolution of the second.

    **Arguments:** `kernel` (features, channels, *window); `stride`: positive, the same for all axes;
    `padding`: `"SAME"` or `"VALID"`. Raises `ValueError` for others, and for layers of other shapes.

    Lee et al., ICML 2009, for stacks of such layers.

        >>> edges = eam.synapses.Convolution(jnp.array([[[1.0, -1.0]]]), padding="VALID")
        >>> float(edges(jnp.array([[0.0, 1.0, 1.0]]), jnp.array([[1.0, 1.0]])))  # their sum: −1 + 0
        -1.0
    """

    kernel: Float[Array, "..."]
    stride: int = eqx.field(static=True)
    padding: str = eqx.field(static=True)
    multilinear: ClassVar[bool] = True

    def __init__(self, kernel: ArrayLike, stride: int = 1, padding: Literal["SAME", "VALID"] = "SAME"):
        self.kernel = checks.as_floats("kernel", kernel, "... features channels window")
        self.stride = checks.count("stride", stride)
        self.padding = checks.one_of("padding", padding, ("SAME", "VALID"))

    def __call__(self, first: Float[Array, "..."], second: Float[Array, "..."]) -> Float[Array, ""]:
        if first.ndim != self.kernel.ndim - 1 or first.shape[0] != self.kernel.shape[1]:
            of = f"a kernel (features, channels, *window) of shape {self.kernel.shape}"
            wanted = f"(channels, *space) for {of}"
            raise ValueError(f"the first layer of a Convolution must be {wanted}; got shape {first.shape}")
        found = self.features(first)
        if second.shape != found.shape:
            wanted = f"{found.shape} for a first layer of {first.shape}"
            raise ValueError(f"the second layer of a Convolution must be {wanted}; got shape {second.shape}")
        return dot(found.reshape(-1), second.reshape(-1))

    def features(self, first: Float[Array, "..."]) -> Float[Array, "..."]:
        """kernel ∗ g₁ (features, *space), the field at the second layer."""
        dtype = float_dtype(first.dtype, self.kernel.dtype, least=first.dtype)
        strides = (self.stride,) * (first.ndim - 1)
        window = first[None].astype(dtype), self.kernel.astype(dtype)
        return lax.conv_general_dilated(*window, strides, self.padding, precision="highest")[0]


class Patterns(eqx.Module):
    """A dense associative memory in a layer: P = Σ potential(Ξ g), summed over the vectors along its last
    axis.

    The potential is convex in the layer if the separation's is convex and grows with each similarity.

    **Arguments:** `patterns` (K, D), D the last axis of the layer; `separation`: how the
    overlaps are weighed. Raises `ValueError` for others.

    Krotov & Hopfield, ICLR 2021.

        >>> patterns = eam.synapses.Patterns(jnp.eye(2), eam.Quadratic())
        >>> float(patterns(jnp.array([3.0, 4.0])))  # ½ (3² + 4²)
        12.5
    """

    patterns: Num[Array, "K D"]
    separation: AbstractSeparation

    def __init__(self, patterns: ArrayLike, separation: AbstractSeparation):
        array = checks.as_array("patterns", patterns, "K D")
        floating = jnp.issubdtype(array.dtype, jnp.floating)
        self.patterns = checks.as_floats("patterns", array, "K D") if floating else array
        self.separation = checks.instance("separation", separation, AbstractSeparation)

    def __call__(self, layer: Float[Array, "..."]) -> Float[Array, ""]:
        if layer.shape[-1:] != self.patterns.shape[1:]:
            wanted = f"D = {layer.shape[-1:]} for a layer of {layer.shape}"
            raise ValueError(f"patterns (K, D) must have {wanted}; got shape {self.patterns.shape}")
        potential_of = lambda token: self.separation.potential(overlaps(self.patterns, token))  # noqa: E731
        return jax.vmap(potential_of)(layer.reshape(-1, layer.shape[-1])).sum()


class Prediction(eqx.Module):
    """A layer that predicts another, as in predictive coding: P = g₂ · f(g₁) − ½ ‖f(g₁)‖².

    With the ½‖g₂‖² of `Continuous` neurons, R − P is ½ ‖g₂ − f(g₁)‖², the squared error of the prediction.
    P is not convex in the first layer: `Blockwise` gives no guarantee there, `LineSearch` and
    `GradientDescent` do.

    **Arguments:** `predict`: f, a function or module (`eqx.nn.Linear`, say) from the first layer to the
    second's shape. Raises `ValueError` for others.

    Rao & Ballard, Nature Neuroscience 2 (1999).

        >>> doubles = eam.synapses.Prediction(lambda x: 2 * x)
        >>> float(doubles(jnp.array([1.0]), jnp.array([2.0])))  # ½ 2²: a perfect prediction
        2.0
    """

    predict: Callable[[Array], Array]

    def __check_init__(self):
        checks.function("predict", self.predict)

    def __call__(self, first: Float[Array, "..."], second: Float[Array, "..."]) -> Float[Array, ""]:
        found = self.predict(first)
        if jnp.shape(found) != second.shape:
            raise ValueError(f"predict must give {second.shape}; got shape {jnp.shape(found)}")
        return jnp.sum((second - found / 2) * found)


class Attention(eqx.Module):
    """Tokens that attend to one another: P = 1/β Σ_h Σ_C log Σ_B exp(β K_hB · Q_hC), K = W_k g, Q = W_q g.

    Token C attends to all tokens B ≠ C, or to its neighbours in a graph; a token without neighbours adds 0. P
    is convex in each token while the others are fixed, but not with `own`, and not in all tokens at once.

    **Arguments:** `query_weights` and `key_weights` (H, Y, D): heads, size of a head, size of a token;
    `beta`: positive, by default 1/√Y; `own`: whether tokens see themselves too, B = C; `adjacency` (N, N)
    bool: [C, B] says whether C looks at B, in place of B ≠ C. Raises `ValueError` for others, and for an
    adjacency together with `own`.

    Hoover et al., "Energy transformer", NeurIPS 2023.

        >>> attention = eam.synapses.Attention(jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)), beta=1.0)
        >>> float(attention(jnp.array([[1.0], [2.0]])))  # each of two tokens sees the other: 2 + 2
        4.0
    """

    query_weights: Float[Array, "H Y D"]
    key_weights: Float[Array, "H Y D"]
    beta: Float[Array, ""]
    adjacency: Bool[Array, "N N"] | None
    own: bool = eqx.field(static=True)

    def __init__(
        self,
        query_weights: ArrayLike,
        key_weights: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        own: bool = False,
        adjacency: ArrayLike | None = None,
    ):
        self.query_weights = checks.as_floats("query_weights", query_weights, "H Y D")
        H, Y, D = self.query_weights.shape
        self.key_weights = checks.as_floats("key_weights", key_weights, f"{H} {Y} {D}")
        beta = Y**-0.5 if beta is None else beta
        self.beta = checks.positive_float("beta", beta)
        self.adjacency = None if adjacency is None else as_graph(adjacency)
        if own is True and adjacency is not None:
            raise ValueError("own must be False with an adjacency, whose diagonal stands for it; got True")
        self.own = checks.flag("own", own) or _has_loops(self.adjacency)

    @property
    def convex_in_tokens(self) -> bool:
        """Whether P is convex in each token, the others being fixed."""
        return not self.own

    def __call__(self, tokens: Float[Array, "N D"]) -> Float[Array, ""]:
        scores, seen = self.scores(tokens), self.seen(tokens)
        # Log-sum-exp over those seen; where there are none, 0 takes the place of log 0.
        some = seen.any(axis=-1)
        masked = jnp.where(seen | ~some[:, None], scores, -jnp.inf)
        return jnp.where(some, jax.nn.logsumexp(masked, axis=-1), 0).sum() / self.beta

    def weights(self, tokens: ArrayLike) -> Float[Array, "H N N"]:
        """The attention map: how much token C looks at token B, [h, C, B], rows summing to 1 (or to 0).

        Raises `ValueError` unless `tokens` are (N, D), and as many as the graph has nodes; so do `scores` and
        `seen`.
        """
        scores, seen = self.scores(tokens), self.seen(tokens)
        masked = jnp.where(seen | ~seen.any(axis=-1, keepdims=True), scores, -jnp.inf)
        return jnp.where(seen, jax.nn.softmax(masked, axis=-1), 0)

    def scores(self, tokens: ArrayLike) -> Float[Array, "H N N"]:
        """β K_hB · Q_hC as [h, C, B]."""
        tokens = self._checked(tokens)
        keys, queries = (_by_head(tokens, weights) for weights in (self.key_weights, self.query_weights))
        return self.beta * dot(queries, jnp.swapaxes(keys, 1, 2))

    def seen(self, tokens: ArrayLike) -> Bool[Array, "N N"]:
        """Which tokens B token C looks at, [C, B]."""
        N = self._checked(tokens).shape[0]
        if self.adjacency is not None:
            return self.adjacency
        return jnp.ones((N, N), bool) if self.own else ~jnp.eye(N, dtype=bool)

    def _checked(self, tokens):
        tokens = checks.as_floats("tokens", tokens, f"N {self.query_weights.shape[2]}")
        N = tokens.shape[0]
        if self.adjacency is not None and self.adjacency.shape[0] != N:
            got = f"shape {self.adjacency.shape}"
            raise ValueError(f"adjacency must be ({N}, {N}) for as many tokens; got {got}")
        return tokens


def _has_loops(adjacency):
    """Whether a known graph has nodes that look at themselves."""
    return adjacency is not None and not checks.passes(lambda a: ~a.diagonal().any(), adjacency)


def as_graph(adjacency: ArrayLike) -> Bool[Array, "N N"]:
    """Who looks at whom, (N, N) bool; raises `ValueError` for others."""
    array = checks.as_array("adjacency", adjacency, "N N")
    if array.dtype != bool or array.shape[0] != array.shape[1]:
        raise ValueError(f"adjacency must be (N, N) bool; got shape {array.shape}, dtype {array.dtype}")
    return array


def _by_head(tokens, weights):
    """Tokens (N, D) times the weights (H, Y, D) of each head, (H, N, Y), as one product."""
    H, Y, D = weights.shape
    found = dot(tokens, weights.reshape(H * Y, D).T)
    return jnp.swapaxes(found.reshape(-1, H, Y), 0, 1)


__all__, __dir__ = public_names(__name__, without="as_graph")
