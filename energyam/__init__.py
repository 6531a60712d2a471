"""energyam: associative memory as energy-based modelling. A memory is an energy; recall is descent on it."""

import importlib as _importlib

# memories
from energyam.memories.dense import (
    AbstractDenseAM as AbstractDenseAM,
    CHN as CHN,
    DenseAM as DenseAM,
    ExponentialDenseAM as ExponentialDenseAM,
    ModernHopfield as ModernHopfield,
    PolynomialDenseAM as PolynomialDenseAM,
)
from energyam.memories.distance import (
    EpanechnikovDenseAM as EpanechnikovDenseAM,
    GaussianDenseAM as GaussianDenseAM,
)
from energyam.memories.features import DistributedDenseAM as DistributedDenseAM, Estimate as Estimate
from energyam.memories.product import ProductDenseAM as ProductDenseAM, Ranked as Ranked
from energyam.memories.hopfield import HopfieldNetwork as HopfieldNetwork
from energyam.memories.sequence import (
    AbstractSequence as AbstractSequence,
    DenseSequence as DenseSequence,
    SequenceNetwork as SequenceNetwork,
)
from energyam.memories.neuron_sdm import NeuronSDM as NeuronSDM
from energyam.memories.sdm import ContinuousSDM as ContinuousSDM, PatternSDM as PatternSDM
from energyam.memories.associator import (
    KeyValueMemory as KeyValueMemory,
    OnlineAssociator as OnlineAssociator,
)
from energyam.memories.padded import PaddedKeyValueMemory as PaddedKeyValueMemory

from energyam.memories.hierarchical import HierarchicalMemory as HierarchicalMemory

# the parts of a memory
from energyam.memories import synapses as synapses
from energyam.memories.base import (
    AbstractLayered as AbstractLayered,
    AbstractMemory as AbstractMemory,
    AbstractProvesRest as AbstractProvesRest,
    AbstractPulls as AbstractPulls,
    Pull as Pull,
)
from energyam.memories.neurons import (
    AbstractCoupled as AbstractCoupled,
    AbstractNeurons as AbstractNeurons,
    Binary as Binary,
    Continuous as Continuous,
    Free as Free,
    Spherical as Spherical,
)
from energyam.memories.softmax import Softmax as Softmax
from energyam.memories.graded import (
    AbstractGraded as AbstractGraded,
    LayerNorm as LayerNorm,
    Rectified as Rectified,
    Sigmoid as Sigmoid,
    Tanh as Tanh,
)
from energyam.memories.similarity import (
    AbstractSimilarity as AbstractSimilarity,
    Cosine as Cosine,
    Dot as Dot,
    NegativeDistance as NegativeDistance,
)
from energyam.memories.intersection import (
    CapIntersection as CapIntersection,
    CircleIntersection as CircleIntersection,
)
from energyam.memories.polynomial import Polynomial as Polynomial
from energyam.memories.separation import (
    AbstractBlocks as AbstractBlocks,
    AbstractSeparation as AbstractSeparation,
    Linear as Linear,
    LogSumExp as LogSumExp,
    Quadratic as Quadratic,
    ReLU as ReLU,
    TopK as TopK,
)
from energyam.memories.sparse import (
    Entmax as Entmax,
    KSubsets as KSubsets,
    LogSumReLU as LogSumReLU,
)

# what parts may declare to be exact or fast
from energyam.flips.capabilities import (
    AbstractBounds as AbstractBounds,
    AbstractCouplings as AbstractCouplings,
    AbstractEnclosures as AbstractEnclosures,
    AbstractFields as AbstractFields,
    AbstractFieldsAt as AbstractFieldsAt,
    AbstractFlippable as AbstractFlippable,
    AbstractFlips as AbstractFlips,
    AbstractGains as AbstractGains,
    AbstractGrowing as AbstractGrowing,
    AbstractHasFlips as AbstractHasFlips,
    AbstractManySimilarities as AbstractManySimilarities,
    AbstractMovable as AbstractMovable,
    AbstractWeights as AbstractWeights,
    Bounds as Bounds,
    Change as Change,
)
from energyam.flips.derived import flips_of as flips_of, weights_of as weights_of

# learning rules
from energyam.learning import (
    correlation_matrix_memory as correlation_matrix_memory,
    hebbian as hebbian,
    optimal_linear_associator as optimal_linear_associator,
    pseudo_inverse as pseudo_inverse,
    sequence_weights as sequence_weights,
    storkey as storkey,
)

# recall
from energyam.dynamics.recall import (
    STATUSES as STATUSES,
    Recall as Recall,
    is_local_minimum as is_local_minimum,
    recall as recall,
)
from energyam.dynamics.update import (
    AbstractCarriesEnergy as AbstractCarriesEnergy,
    AbstractFlipping as AbstractFlipping,
    AbstractUpdate as AbstractUpdate,
    Flips as Flips,
    States as States,
    Step as Step,
    Tick as Tick,
)
from energyam.dynamics.asynchronous import Asynchronous as Asynchronous
from energyam.dynamics.blockwise import Blockwise as Blockwise
from energyam.dynamics.gradient import GradientDescent as GradientDescent
from energyam.dynamics.line_search import LineSearch as LineSearch
from energyam.dynamics.relaxation import Relaxation as Relaxation
from energyam.dynamics.synchronous import Synchronous as Synchronous

# sampling
from energyam.dynamics.sampling import Samples as Samples, sample as sample
from energyam.dynamics.block_gibbs import BlockGibbs as BlockGibbs
from energyam.dynamics.heat_bath import HeatBath as HeatBath, Metropolis as Metropolis
from energyam.dynamics.discrete_langevin import DiscreteLangevin as DiscreteLangevin
from energyam.dynamics.langevin import Langevin as Langevin
from energyam.dynamics.tempering import Tempering as Tempering
from energyam.dynamics.update import (
    AbstractScheduled as AbstractScheduled,
    AbstractSuited as AbstractSuited,
    AbstractTempered as AbstractTempered,
    AbstractWrapping as AbstractWrapping,
)
from energyam.memories.hidden import (
    AbstractDrawn as AbstractDrawn,
    AbstractHasRedraws as AbstractHasRedraws,
    AbstractHiddenUnits as AbstractHiddenUnits,
    AbstractMixes as AbstractMixes,
    AbstractMultilinear as AbstractMultilinear,
    AbstractRedraws as AbstractRedraws,
)
from energyam.memories.neurons import AbstractCurved as AbstractCurved

# files
from energyam.saving import load as load, save as save

__version__ = "0.2.0"

# Imported at first use: they cost an import of matplotlib, a data set, or a hundred milliseconds.
_LAZY = (
    "datasets",
    "evaluation",
    "hypercube",
    "ising",
    "learning",
    "lm",
    "nn",
    "plotting",
    "sharding",
    "theory",
)


def __getattr__(name: str):
    if name in _LAZY:
        return _importlib.import_module(f"energyam.{name}")
    raise AttributeError(f"module 'energyam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
