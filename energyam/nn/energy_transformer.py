"""The energy transformer: tokens that descend one energy of attention and patterns for T steps.

    g = layer norm of the tokens x
    E(g) = −1/β Σ_h Σ_C log Σ_{B≠C} exp(β K_hB · Q_hC) − ½ Σ_B Σ_μ max(ξ_μ · g_B, 0)²
    x ← x − α ∂E/∂g

Hoover, Liang, Pham, Panda, Strobelt, Chau, Zaki & Krotov, "Energy transformer", NeurIPS 2023.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from einops import rearrange
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, Shaped

from energyam import checks
from energyam.memories.graded import LayerNorm
from energyam.memories.hierarchical import HierarchicalMemory, Synapse
from energyam.memories.separations import ReLU
from energyam.memories.synapses import Attention, Patterns, as_graph
from energyam.nn.answers import answer_of

Tokens = Float[Array, "N D"]
Hidden = Bool[ArrayLike, " N"] | None
Graph = Bool[ArrayLike, "N N"] | None  # which tokens see each other


class Descent(NamedTuple):
    """A descent of tokens: `tokens` x (N, D) at the end, `energies` (T+1,) from the start.

    >>> model = eam.nn.EnergyTransformer(4, 9, 8, num_heads=2, num_patterns=8, num_steps=2, key=jr.key(0))
    >>> found = model.descend(model.tokens(jnp.ones((4, 9))))
    >>> found.energies.shape, bool(found.energies[-1] < found.energies[0])
    ((3,), True)
    """

    tokens: Float[Array, "N D"]
    energies: Float[Array, " T+1"]


class EnergyTransformer(eqx.Module):
    """A network that completes patches of a picture, or features of nodes, by descent on one energy.

    A linear map turns each patch into a token, or it becomes the mask token if it is hidden. Positions are
    added, the tokens descend the energy, and a layer norm and a linear map turn them into patches again.

    **Arguments:** `num_tokens`: N; `patch_size`: P, numbers in a patch; `size`: D, of a token; `num_heads`:
    H; `head_size`: Y; `num_patterns`: M; `num_steps`: T; `step_size`: α, not trained; `own`: whether a token
    also attends to itself (not in the paper, but in its code); `positions`: whether tokens have places, as
    patches do and the nodes of a graph don't; `checkpointed`: whether gradients recompute the steps instead
    of storing them (memory for one step instead of T); `key`. Weights start as in the published code: .002
    for tokens and attention, .02 for patterns. Raises `ValueError` for sizes below 1 and α ≤ 0.

        >>> model = eam.nn.EnergyTransformer(4, 9, 8, num_heads=2, num_patterns=8, num_steps=2, key=jr.key(0))
        >>> model(jnp.ones((4, 9)), jnp.array([True, False, False, False])).shape  # the first patch is hidden
        (4, 9)
    """

    embed: eqx.nn.Linear
    decode: eqx.nn.Linear
    mask_token: Float[Array, " D"]
    places: Float[Array, "N D"] | None
    query_weights: Float[Array, "H Y D"]
    key_weights: Float[Array, "H Y D"]
    patterns: Float[Array, "M D"]
    gain: Float[Array, ""]
    offset: Float[Array, " D"]
    out_norm: eqx.nn.LayerNorm
    step_size: Float[Array, ""] = eqx.field(converter=partial(checks.positive_float, "step_size"))
    num_steps: int = eqx.field(static=True, converter=partial(checks.count, "num_steps"))
    own: bool = eqx.field(static=True, converter=partial(checks.flag, "own"))
    checkpointed: bool = eqx.field(static=True, converter=partial(checks.flag, "checkpointed"))

    def __init__(
        self,
        num_tokens: int,
        patch_size: int,
        size: int,
        *,
        num_heads: int = 4,
        head_size: int = 16,
        num_patterns: int = 256,
        num_steps: int = 12,
        step_size: ArrayLike = 0.1,
        own: bool = False,
        positions: bool = True,
        checkpointed: bool = False,
        key: PRNGKeyArray,
    ):
        N, D = checks.count("num_tokens", num_tokens), checks.count("size", size)
        H, Y = checks.count("num_heads", num_heads), checks.count("head_size", head_size)
        P, M = checks.count("patch_size", patch_size), checks.count("num_patterns", num_patterns)
        checks.key("key", key)
        embed, decode, token, places, queries, keys, patterns = jr.split(key, 7)
        self.embed = eqx.nn.Linear(P, D, key=embed)
        self.decode = eqx.nn.Linear(D, P, key=decode)
        self.mask_token = 0.002 * jr.normal(token, (D,))
        self.places = 0.002 * jr.normal(places, (N, D)) if checks.flag("positions", positions) else None
        self.query_weights = 0.002 * jr.normal(queries, (H, Y, D))
        self.key_weights = 0.002 * jr.normal(keys, (H, Y, D))
        self.patterns = 0.02 * jr.normal(patterns, (M, D))
        self.gain, self.offset = jnp.ones(()), jnp.zeros(D)
        self.out_norm = eqx.nn.LayerNorm(D)
        self.step_size = checks.positive_float("step_size", step_size)
        self.num_steps, self.own, self.checkpointed = num_steps, own, checkpointed

    @property
    def norm(self) -> LayerNorm:
        """The layer norm g of tokens x."""
        return LayerNorm(self.gain, self.offset)

    def memory(self, num_tokens: int, adjacency: Graph = None) -> HierarchicalMemory:
        """The energy as a memory of one layer, "tokens" (N, D), for `recall` and `Blockwise`."""
        num_tokens, own = checks.count("num_tokens", num_tokens), self.own and adjacency is None
        attention = Attention(self.query_weights, self.key_weights, own=own, adjacency=adjacency)
        patterns = Patterns(self.patterns, ReLU())
        synapses: list[tuple[Synapse, tuple[str]]] = [(attention, ("tokens",)), (patterns, ("tokens",))]
        norm = LayerNorm(self.gain, self.offset, shape=(num_tokens, self.patterns.shape[1]))
        return HierarchicalMemory({"tokens": norm}, synapses)

    def tokens(self, patches: ArrayLike, hidden: Hidden = None) -> Tokens:
        """The tokens x (N, D) of patches (N, P), the mask token in place of those in `hidden` (N,)."""
        N = "N" if self.places is None else self.places.shape[0]
        x = jax.vmap(self.embed)(checks.as_floats("patches", patches, f"{N} {self.embed.in_features}"))
        if hidden is not None:
            hidden = checks.as_array("hidden", hidden, f"{x.shape[0]}")
            if hidden.dtype != bool:
                raise ValueError(f"hidden must be bool; got dtype {hidden.dtype}")
            x = jnp.where(hidden[:, None], self.mask_token[None], x)
        return x if self.places is None else x + self.places

    def descend(self, tokens: ArrayLike, adjacency: Graph = None, num_steps: int | None = None) -> Descent:
        """T steps x ← x − α ∂E/∂g from tokens x (N, D), in which token C looks at B where adjacency[C, B]."""
        num_steps = self.num_steps if num_steps is None else checks.count("num_steps", num_steps, least=0)
        start = checks.as_floats("tokens", tokens, f"N {self.patterns.shape[1]}")
        return self._descended(start, _as_graph(adjacency), num_steps)

    @eqx.filter_jit  # a loop by itself would be compiled anew at each call
    def _descended(self, start, adjacency, num_steps):
        potential = self.memory(start.shape[0], adjacency).potential
        rate = jax.lax.stop_gradient(self.step_size).astype(start.dtype)

        def step(x, _):
            value, field = jax.value_and_grad(potential)({"tokens": self.norm.respond(x, x)})
            return x + rate * field["tokens"], -value

        step = jax.checkpoint(step) if self.checkpointed else step
        x, energies = jax.lax.scan(step, start, None, num_steps)
        # Under vmap, a descent that diverged ends in NaN; a single state of NaN would be refused.
        last = -jax.vmap(potential)({"tokens": self.norm.respond(x, x)[None]})
        return Descent(x, jnp.concatenate([energies, last]))

    def __call__(
        self, patches: ArrayLike, hidden: Hidden = None, adjacency: Graph = None, num_steps: int | None = None
    ) -> Float[Array, "N P"]:
        """Patches (N, P), of which those in `hidden` (N,) are not looked at, completed: (N, P).

        `adjacency` (N, N) bool: which nodes of a graph see each other; `num_steps`: in place of T. Raises
        `ValueError` for other shapes.
        """
        x = self.descend(self.tokens(patches, hidden), adjacency, num_steps).tokens
        return jax.vmap(lambda token: self.decode(self.out_norm(token)))(x)


_share = partial(checks.number, low=0, high=1)


def _as_graph(adjacency):
    return None if adjacency is None else as_graph(adjacency)


class MaskedCompletion(eqx.Module):
    """A loss for `train`: mask some patches of pictures, and complete them.

    In each picture, round(`masked` · N) patches count in the loss, the mean squared error in units of the
    data's variance. A share `shown_as_hidden` of these is hidden by the mask token; the rest is left visible.

    **Arguments:** `patches` (pictures, N, P); `batch_size`; `masked` and `shown_as_hidden`: shares in (0, 1];
    `adjacency` (N, N) bool, of a graph. Raises `ValueError` for others. Loss and evaluation take a key.

        >>> patches = eam.nn.as_patches(eam.datasets.bars_and_stripes(4) * 1.0, 2)
        >>> model = eam.nn.EnergyTransformer(4, 4, 8, num_heads=2, num_patterns=8, num_steps=2, key=jr.key(0))
        >>> bool(eam.nn.MaskedCompletion(patches, batch_size=8)(model, jr.key(1)) > 0)  # as `train` calls it
        True
    """

    patches: Float[Array | np.ndarray, "S N P"] = eqx.field(
        converter=partial(checks.as_floats, "patches", dims="S N P")
    )
    batch_size: int = eqx.field(static=True, default=64, converter=partial(checks.count, "batch_size"))
    masked: int | float = eqx.field(static=True, default=0.5, converter=partial(_share, "masked"))
    shown_as_hidden: int | float = eqx.field(
        static=True, default=0.9, converter=partial(_share, "shown_as_hidden")
    )
    adjacency: Graph = eqx.field(default=None, converter=_as_graph)

    def __check_init__(self):
        N = self.patches.shape[1]
        if round(self.masked * N) < 1:
            raise ValueError(f"masked must hide at least one of {N} patches; got {self.masked}")
        if self.adjacency is not None and jnp.shape(self.adjacency) != (N, N):
            raise ValueError(f"adjacency must be ({N}, {N}) bool; got shape {jnp.shape(self.adjacency)}")
        if not checks.passes(lambda x: x.max() > x.min(), self.patches):
            raise ValueError("patches must vary, as errors are in units of their variance; got equal numbers")

    def __call__(self, model: Callable[..., Array], key: PRNGKeyArray) -> Float[Array, ""]:
        """The normalised squared error of one batch on its masked patches, a scalar.

        `model` is an `EnergyTransformer`, or any function (patches, hidden, adjacency) → completed patches.
        """
        checks.function("model", model)
        checks.key("key", key)
        draw, mask = jr.split(key)
        chosen = jr.choice(draw, self.patches.shape[0], (self.batch_size,))
        keys = jr.split(mask, self.batch_size)
        patches = self.patches[chosen]
        counted, hidden = jax.vmap(self._masks)(keys)
        completed = jax.vmap(lambda x, h: answer_of(model(x, h, self.adjacency), x.shape))(patches, hidden)
        errors = jnp.mean((completed - patches) ** 2, axis=-1)
        return jnp.mean(errors, where=counted) / jnp.var(self.patches)

    def _masks(self, key):
        """Which patches of one picture count (N,), and which of these are hidden."""
        order, hide = jr.split(key)
        N = self.patches.shape[1]
        counted = jr.permutation(order, N) < round(self.masked * N)
        return counted, counted & jr.bernoulli(hide, self.shown_as_hidden, (N,))


def as_patches(pictures: Shaped[ArrayLike, "*batch H W"], side: int) -> Float[Array, "*batch N P"]:
    """Pictures (*batch, H, W) as patches of side · side numbers, row by row: (*batch, N, side²).

    Raises `ValueError` unless `side` divides H and W.

        >>> eam.nn.as_patches(jnp.arange(16.0).reshape(4, 4), 2)[:2]  # the two upper ones of four
        Array([[0., 1., 4., 5.],
               [2., 3., 6., 7.]], dtype=float32)
    """
    array, side = checks.as_floats("pictures", pictures, "... H W"), checks.count("side", side)
    H, W = array.shape[-2:]
    if H % side or W % side:
        raise ValueError(f"side must divide the height and width of pictures, {(H, W)}; got {side}")
    return rearrange(array, "... (h a) (w b) -> ... (h w) (a b)", a=side, b=side)
