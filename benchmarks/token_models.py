"""What the energy transformer is compared with: an ordinary block, and tokens at rest under a field."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from energyam import nn

PATCH, SIZE, HEADS, STEPS = 49, 64, 4, 12
TOL = 1e-3  # at rest when no token moves by more


class OrdinaryBlock(eqx.Module):
    """A transformer's block, the same T times over: attention and two layers, both added to the tokens."""

    outer: nn.EnergyTransformer  # embeds, places, decodes; its energy is not used
    attention: eqx.nn.MultiheadAttention
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    num_steps: int = eqx.field(static=True)

    def __init__(self, num_tokens, hidden, *, key):
        outer, attention, up, down = jr.split(key, 4)
        self.outer = nn.EnergyTransformer(num_tokens, PATCH, SIZE, num_patterns=1, key=outer)
        self.attention = eqx.nn.MultiheadAttention(HEADS, SIZE, key=attention)
        self.up = eqx.nn.Linear(SIZE, hidden, key=up)
        self.down = eqx.nn.Linear(hidden, SIZE, key=down)
        self.norms = eqx.nn.LayerNorm(SIZE), eqx.nn.LayerNorm(SIZE)
        self.num_steps = STEPS

    def __call__(self, patches, hidden=None, adjacency=None, num_steps=None):
        T = self.num_steps if num_steps is None else num_steps
        x = jax.lax.scan(lambda x, _: (self.step(x), None), self.outer.tokens(patches, hidden), None, T)[0]
        return decoded(self.outer, x)

    def step(self, x):
        """The block once, tokens (N, D) to tokens."""
        g = jax.vmap(self.norms[0])(x)
        x = x + self.attention(g, g, g)
        return x + jax.vmap(lambda x: self.down(jax.nn.gelu(self.up(self.norms[1](x)))))(x)


class FedTokens(eqx.Module):
    """An energy transformer as a memory: the first tokens stay on as a field, inputs decay, and it rests.

        E(g) = R(g) − attention − patterns − x · g,    x ← x + rate (field(g) − x)

    `rest`: whether gradients are those at rest (`recall_at_rest`), or through all T steps.
    """

    outer: nn.EnergyTransformer
    rate: float = eqx.field(static=True)
    rest: bool = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)

    def __init__(self, num_tokens, rest, num_steps, rate=0.5, *, key):
        self.outer = nn.EnergyTransformer(num_tokens, PATCH, SIZE, key=key)
        self.rate, self.rest, self.num_steps = rate, rest, num_steps

    def memory(self, patches, hidden):
        """The energy of one picture, and the state from which recall starts."""
        x = self.outer.tokens(patches, hidden)
        bare = self.outer.memory(x.shape[0])
        pairs = list(zip(bare.synapses, bare.connections, strict=True))
        field = eam.synapses.Bias(x), ("tokens",)
        memory = eam.HierarchicalMemory(bare.neurons, [*pairs, field])
        # Tokens start at 0. (Float32 can't tell the inputs behind a layer norm well, nor their slopes.)
        return memory, {"tokens": self.outer.norm.respond(jnp.zeros_like(x), x)}

    def settle(self, patches, hidden, num_steps):
        """Whether a recall comes to rest, and the energies and tokens g on its way, from the start on."""
        memory, start = self.memory(patches, hidden)
        result = eam.recall(memory, start, eam.Relaxation(self.rate, tol=TOL), num_steps)
        energies = jnp.append(result.initial_energy, result.energies)
        return result.converged, energies, result.frames(every=1)["tokens"]

    def __call__(self, patches, hidden=None, adjacency=None, num_steps=None):
        memory, start = self.memory(patches, hidden)
        update = eam.Relaxation(self.rate, tol=TOL)
        T = self.num_steps if num_steps is None else num_steps
        if self.rest and num_steps is None:
            end = nn.recall_at_rest(memory, start, update, T, tol=1e-2)
        elif T == 0:
            end = start
        else:
            end = eam.recall(memory, start, update, T, record=False).state
        return decoded(self.outer, end["tokens"])


def decoded(outer, tokens):
    """Patches of tokens, by the last norm and a linear map."""
    return jax.vmap(lambda token: outer.decode(outer.out_norm(token)))(tokens)


def num_parameters(model, without=()):
    """How many numbers are trained."""
    leaves = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    return sum(leaf.size for leaf in leaves) - sum(leaf.size for leaf in without)
