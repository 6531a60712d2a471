"""Common parts of the language models: layers that are scanned, and a memory that is read inside them.

x ← embed(tokens);   in each layer  Q, K, V ← project(x),  x ← finish(x, attention);   logits ← unembed(x)
"""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from energyam import checks
from energyam.lm.attention import Heads
from energyam.lm.forward import Access, run
from energyam.lm.layers import LayerNorm, RMSNorm
from energyam.lm.lookup import Lookup
from energyam.lm.store import MemoryStore, fingerprint

Tokens = Sequence[int] | ArrayLike
Length = ArrayLike | None
Memory = MemoryStore | None  # what is read inside the layers,
Reading = Lookup | None  # and how: both or neither


class AbstractBlock(eqx.Module):
    """One layer, or all layers of a model with a leading axis L."""

    @abc.abstractmethod
    def project(self, x: Float[Array, "T D"]) -> Heads:
        """Queries, keys and values, before any rotation by position."""

    @abc.abstractmethod
    def rotate(self, heads: Heads, positions: Int[Array, " T"]) -> Heads:
        """The heads with their positions in queries and keys."""

    @abc.abstractmethod
    def finish(self, x: Float[Array, "T D"], mixed: Float[Array, "T HD"]) -> Float[Array, "T D"]:
        """The layer's output, given what its heads have read."""


class LanguageModel(eqx.Module):
    """A causal transformer that `energyam.lm.load` makes: `model(token_ids)` gives the logits (T, V).

    It takes one text; use `jax.vmap` for several. GPT-2 adds a vector for each position to the embedding of
    the token, whereas Llama rotates queries and keys in its blocks. A model without a `head` computes its
    logits from the embedding.

    Radford et al., "Language models are unsupervised multitask learners", 2019. Touvron et al., "LLaMA: open
    and efficient foundation language models", 2023.

        >>> model = eam.lm.load("tiny_llama")
        >>> logits = model(np.array([1, 2, 3]))
        >>> logits[-1].argmax().shape  # the token that is likeliest to follow
        ()
    """

    embedding: Float[Array, "V D"]
    position_embedding: Float[Array, "C D"] | None
    blocks: AbstractBlock
    final_norm: LayerNorm | RMSNorm
    head: Float[Array, "V D"] | None
    context_length: int = eqx.field(static=True)
    end_tokens: tuple[int, ...] = eqx.field(static=True)  # those that end a text, by the model's own files

    def embed(self, token_ids: Int[Array, " T"], positions: Int[Array, " T"]) -> Float[Array, "T D"]:
        """The input of the first layer."""
        x = self.embedding[token_ids]
        return x if self.position_embedding is None else x + self.position_embedding[positions]

    def unembed(self, x: Float[Array, "T D"]) -> Float[Array, "T V"]:
        """The logits, from the output of the last layer."""
        return self.final_norm(x) @ (self.embedding if self.head is None else self.head).T

    @property
    def num_layers(self) -> int:
        """L, the number of layers."""
        return jax.tree.leaves(self.blocks)[0].shape[0]

    def __call__(
        self, token_ids: Tokens, memory: Memory = None, lookup: Reading = None, length: Length = None
    ) -> Float[Array, "T V"]:
        """The logits (T, V) of the token after each of `token_ids` (T,), compiled once for each shape.

        **Arguments:** `memory` and `lookup`, both or neither: what is read inside the layers, and how.
        `length`: how many of the tokens count, where the text is padded at its end; then only the first
        `length` rows have a meaning.

        Raises `ValueError` for tokens outside the vocabulary, more than `context_length` of them, or the
        memory of another model.
        """
        token_ids, access = self.checked(token_ids, memory, lookup)
        return _logits(self, token_ids, as_length(length, token_ids), access)

    def heads(
        self,
        token_ids: Tokens,
        memory: Memory = None,
        lookup: Reading = None,
        length: Length = None,
        *,
        rotated: bool = True,
    ) -> Heads:
        """Queries (L, H, T, d), keys and values (L, G, T, d) of every layer; arguments as above.

        With `rotated` the queries and keys carry their positions, as attention sees them; GPT-2's always do.
        """
        token_ids, access = self.checked(token_ids, memory, lookup)
        rotated = checks.flag("rotated", rotated)
        return _heads(self, token_ids, as_length(length, token_ids), access, rotated)

    def checked(
        self, token_ids: Tokens, memory: Memory, lookup: Reading, name: str = "token_ids"
    ) -> tuple[Array, Access | None]:
        """The tokens, which the caller calls `name`, and the memory to read, if they suit this model."""
        token_ids = as_tokens(token_ids, self.embedding.shape[0], name)
        if token_ids.shape[0] > self.context_length:
            raise ValueError(f"{name} must be at most {self.context_length}; got {token_ids.shape[0]}")
        if (memory is None) != (lookup is None):
            raise ValueError("memory and lookup must be given together, or neither")
        if memory is None or lookup is None:
            return token_ids, None
        checks.instance("memory", memory, MemoryStore)
        checks.instance("lookup", lookup, Lookup)
        L, got = self.num_layers, memory.bank.slots.shape[0]
        if got != L:
            raise ValueError(f"memory must be of this model, of {L} layers; it is of one of {got}")
        known = all(map(checks.is_known, jax.tree.leaves(self)))
        if known and memory.model != fingerprint(self):
            raise ValueError("memory must be of this model; it was made by another one")
        return token_ids, Access(memory.bank, lookup)


def as_tokens(token_ids: Tokens, vocabulary: int, name: str = "token_ids") -> Int[Array, " T"]:
    """Token numbers (T,) as int32; raises `ValueError` for an empty text or numbers not in the vocabulary."""
    tokens = checks.as_array(name, token_ids, "T")
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers; got {tokens.dtype}")
    checks.within(name, tokens, 0, vocabulary - 1)
    return tokens.astype(jnp.int32)


def as_length(length: Length, token_ids: Int[Array, " T"]) -> Int[Array, ""]:
    """How many tokens count, all by default; raises `ValueError` for a number outside 1 … T."""
    length = token_ids.shape[0] if length is None else length
    checks.within("length", length, 1, token_ids.shape[0])
    return jnp.asarray(length, jnp.int32)


@eqx.filter_jit
def _logits(model, token_ids, length, access):
    return model.unembed(run(model, token_ids, length, access).x)


@eqx.filter_jit
def _heads(model, token_ids, length, access, rotated):
    heads = run(model, token_ids, length, access, keep_heads=True).heads
    if not rotated:
        return heads
    positions = jnp.arange(token_ids.shape[0])
    return jax.vmap(lambda block, heads: block.rotate(heads, positions))(model.blocks, heads)
