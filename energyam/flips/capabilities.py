"""Capabilities: what a part of a memory may declare to be exact or fast. None of them is required.

A separation must have a `potential`, a similarity an `of`, a memory an `energy`. All else is derived
(`energyam.flips.derived`) unless the part also subclasses one of the classes below.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Num, Shaped


class Change(NamedTuple):
    """A change known to within an error: the true one lies in `value` ± `error`; 0 where it is exact."""

    value: Float[Array, "..."]
    error: Float[Array, "..."]


class Bounds(NamedTuple):
    """What bounds the change of a potential along any direction d of ±1 entries: see `AbstractBounds`.

    `weights` w (K,), and `low` and `high` such that low ≤ change / unit − d·w ≤ high, both with the
    rounding of the product d·w; `unit`, which may be anything positive; and the potential itself.
    """

    weights: Float[Array, " K"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    unit: Float[Array, ""]
    potential: Float[Array, ""]


class AbstractWeights(eqx.Module):
    """Of a separation: its weights in closed form."""

    @abc.abstractmethod
    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        """The gradient of the potential; where floats can't hold it, a finite multiple of it."""


class AbstractGains(eqx.Module):
    """Of a separation: its change between whole-number similarities, exact or with an error."""

    @abc.abstractmethod
    def gain(self, similarities: Float[Array, " K"], direction: Num[Array, " K"], step: ArrayLike) -> Change:
        """potential(s + step · direction) − potential(s), for direction_μ ∈ {−1, 0, 1} and step > 0.

        The similarities are whole numbers, as between ±1 patterns and states, where `step` is 2. The sign
        of the value is that of the true change wherever the value is beyond the error.
        """


class AbstractBounds(eqx.Module):
    """Of a separation: bounds of its change that are linear in the direction ±1.

    They decide most flips by one product of the patterns with `weights`, in place of a term for each
    pattern. `enclose` turns such products into bounds of the change itself.
    """

    @abc.abstractmethod
    def bounds(self, similarities: Float[Array, " K"], step: ArrayLike) -> Bounds:
        """The bounds at these whole-number similarities."""

    @abc.abstractmethod
    def enclose(
        self, bounds: Bounds, products: Float[Array, " t"], step: ArrayLike
    ) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        """The lowest and the highest change that some products d·weights allow, in true units."""


class AbstractGrowing(eqx.Module):
    """Of a separation: |F'| grows with the similarity, so that one pattern may come to lead all others."""


class AbstractSquares(eqx.Module):
    """Of a separation: the potential is ½ Σ s², so that flips interact by pairs, through couplings ΞᵀΞ."""


class AbstractMovable(eqx.Module):
    """Of a similarity: what a flip does to it."""

    @abc.abstractmethod
    def moved(
        self, patterns: Num[Array, "K D"], state: Float[Array, " D"], i: Int[Array, ""]
    ) -> Float[Array, " K"]:
        """By how much the similarities of `state` (D,) change when its neuron i flips, (K,)."""


class AbstractManySimilarities(eqx.Module):
    """Of a similarity: all patterns at once, faster than one by one."""

    @abc.abstractmethod
    def of_all(self, patterns: Num[Array, "K D"], state: Float[Array, " D"]) -> Float[Array, " K"]:
        """The similarity of each pattern with the state."""


class AbstractFields(eqx.Module):
    """Of a similarity: how weights of patterns pull at a state."""

    @abc.abstractmethod
    def field(
        self, patterns: Num[Array, "K D"], weights: Float[Array, " K"]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        """Field f and curvature c, both sums over patterns, with Σ_μ w_μ ∇s_μ(x) = f − c x."""


class AbstractFieldsAt(eqx.Module):
    """Of a similarity: how weights of patterns pull at a state, where that depends on the state."""

    @abc.abstractmethod
    def field_at(
        self, patterns: Num[Array, "K D"], weights: Float[Array, " K"], state: Float[Array, " D"]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        """Field f and curvature c with Σ_μ w_μ ∇s_μ(x) = f − c x."""


class AbstractFlippable(eqx.Module):
    """Of neurons: they have two values, and a flip takes one to the other."""

    @abc.abstractmethod
    def flip(self, state: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """The other value of each neuron."""


class AbstractFlips(eqx.Module):
    """Flips of a memory with ±1 states (D,): what is kept between them, and what one of them changes.

    `kept` is any pytree of arrays, say the overlaps with the patterns.
    """

    @abc.abstractmethod
    def start(self, state: Float[Array, " D"]) -> Any:
        """What is kept of a state, computed afresh."""

    @abc.abstractmethod
    def energy(self, kept: Any, state: Float[Array, " D"]) -> Float[Array, ""]:
        """E(x)."""

    @abc.abstractmethod
    def change(self, kept: Any, state: Float[Array, " D"], i: Int[Array, ""]) -> Change:
        """E(x) − E(x with neuron i flipped), in the units of the energy: above 0 if the flip lowers it."""

    @abc.abstractmethod
    def flip(self, kept: Any, state: Float[Array, " D"], i: Int[Array, ""]) -> Any:
        """What is kept after neuron i of `state` has flipped."""

    @abc.abstractmethod
    def laid_out(self) -> "AbstractFlips":
        """The same flips, laid out in memory for reading neuron by neuron, as a sweep does; else itself."""


class AbstractBlockFlips(AbstractFlips):
    """Flips that can be restricted to a block of neurons, with all that is read of these gathered once."""

    @abc.abstractmethod
    def seen_from(self, neurons: Int[Array, " b"]) -> Any:
        """The same flips, of these neurons alone: states are then (b,), and `kept` stays what it was."""


class AbstractEnclosures(AbstractBlockFlips):
    """Flips whose changes can be bounded for many neurons at once, by one product with the patterns."""

    @abc.abstractmethod
    def enclosure(
        self, kept: Any, state: Float[Array, " D"]
    ) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
        """The lowest and the highest possible `change` of each neuron."""


class AbstractCouplings(AbstractBlockFlips):
    """Flips of a quadratic energy: one moves the fields of the others by couplings that stay as they are.

    A flip of neuron i takes the energy down by 2 W_ii − 2 x_i f_i, with couplings W and fields f.
    """

    @abc.abstractmethod
    def fields(self, kept: Any) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
        """The fields −∂E/∂x of the neurons, and the error of each."""

    @abc.abstractmethod
    def couplings(self) -> Float[Array, "D D"]:
        """The couplings W = −∂²E/∂x∂x of the neurons with each other."""

    @abc.abstractmethod
    def own_couplings(self) -> Float[Array, " D"]:
        """W_ii of each neuron."""

    @abc.abstractmethod
    def moved(self, kept: Any, steps: Float[Array, " D"]) -> Any:
        """What is kept after the neurons have changed by `steps`: ∓2 for a flip, 0 for none."""

    def changes(self, kept: Any, state: Float[Array, " D"]) -> Change:
        """The change of energy by a flip, for each neuron."""
        fields, errors = self.fields(kept)
        return Change(2 * (self.own_couplings() - state * fields), 2 * errors)

    def change(self, kept: Any, state: Float[Array, " D"], i: Int[Array, ""]) -> Change:
        value, error = self.seen_from(i[None]).changes(kept, state[i[None]])
        return Change(value[0], error[0])

    def flip(self, kept: Any, state: Float[Array, " D"], i: Int[Array, ""]) -> Any:
        return self.seen_from(i[None]).moved(kept, -2 * state[i[None]])


class AbstractLed(AbstractFlips):
    """Flips that one leading pattern may decide alone (see `energyam.flips.leader`)."""

    @abc.abstractmethod
    def leader(self, kept: Any) -> Any:
        """The leading pattern and what else `follow` needs; the first item says whether it leads.

        None where no pattern ever can.
        """

    @abc.abstractmethod
    def follow(
        self,
        leader: Any,
        state: Float[Array, " D"],
        energy: Float[Array, ""],
        order: Int[Array, " t"],
        free: Bool[Array, " D"],
    ) -> tuple[Float[Array, " D"], Float[Array, ""], Float[Array, " t"], Int[Array, " t"]]:
        """The sweep behind the leader: state and energy at its end, energy and flip (or −1) of each try."""


class AbstractHasFlips(eqx.Module):
    """Of a memory: flips that are faster or more exact than differences of its energy."""

    @abc.abstractmethod
    def flips(self) -> AbstractFlips | None:
        """How flips change its energy; None where its neurons don't flip."""
