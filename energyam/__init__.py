"""energyam: associative memory as energy-based modelling. A memory is an energy; recall is descent on it."""

import importlib as _importlib

from energyam.names import public_names as _public_names

# dense memories
from energyam.memories.dense import (
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
from energyam.memories.features import DistributedDenseAM as DistributedDenseAM
from energyam.memories.product import ProductDenseAM as ProductDenseAM

# networks, sequences and layers
from energyam.memories.hopfield import HopfieldNetwork as HopfieldNetwork
from energyam.memories.sparse_network import SparseNetwork as SparseNetwork
from energyam.memories.sequence import DenseSequence as DenseSequence, SequenceNetwork as SequenceNetwork
from energyam.memories.scaffold import Scaffold as Scaffold
from energyam.memories.hierarchical import HierarchicalMemory as HierarchicalMemory

# sparse distributed memory, and pairs of keys and values
from energyam.memories.neuron_sdm import NeuronSDM as NeuronSDM
from energyam.memories.sdm import ContinuousSDM as ContinuousSDM, PatternSDM as PatternSDM
from energyam.memories.associator import (
    KeyValueMemory as KeyValueMemory,
    OnlineAssociator as OnlineAssociator,
)

# patterns on disk, and search for the nearest
from energyam.on_disk import OnDisk as OnDisk
from energyam.memories.search import Nearest as Nearest, Table as Table, nearest as nearest
from energyam.store import Store as Store

# base classes of memories
from energyam.memories.base import (
    AbstractDenseAM as AbstractDenseAM,
    AbstractMemory as AbstractMemory,
    Pull as Pull,
)

# neurons
from energyam.memories.neurons import AbstractNeurons as AbstractNeurons, Binary as Binary, ZeroOne as ZeroOne
from energyam.memories.categorical import Categorical as Categorical
from energyam.memories.continuous import Continuous as Continuous, Free as Free, Spherical as Spherical
from energyam.memories.softmax import Softmax as Softmax
from energyam.memories.graded import (
    LayerNorm as LayerNorm,
    Rectified as Rectified,
    Sigmoid as Sigmoid,
    Tanh as Tanh,
)

# similarities and separations
from energyam.memories import synapses as synapses
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
from energyam.memories.separation import AbstractSeparation as AbstractSeparation
from energyam.memories.separations import (
    LogSumExp as LogSumExp,
    Quadratic as Quadratic,
    ReLU as ReLU,
    TopK as TopK,
)
from energyam.memories.sparse import Entmax as Entmax, KSubsets as KSubsets, LogSumReLU as LogSumReLU

# moves of single neurons
from energyam.flips.abstract import AbstractFlips as AbstractFlips, Change as Change
from energyam.flips.bounds import Bounds as Bounds

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
from energyam.dynamics.recall import recall as recall
from energyam.dynamics.traces import STATUSES as STATUSES, Recall as Recall

# update rules
from energyam.dynamics.update import (
    AbstractUpdate as AbstractUpdate,
    Flips as Flips,
    States as States,
    Step as Step,
    Tick as Tick,
)
from energyam.dynamics.asynchronous import Asynchronous as Asynchronous, is_local_minimum as is_local_minimum
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

# files
from energyam.saving import load as load, save as save

Linear = Quadratic  # as the read-out of a correlation matrix is called

__version__ = "0.3.0"

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
    "sklearn",
    "theory",
)


__all__, _ = _public_names(__name__, also="STATUSES synapses")
__all__ = sorted({*__all__, "Linear"})


def __getattr__(name: str):
    if name in _LAZY:
        return _importlib.import_module(f"energyam.{name}")
    if name in ("weights_of", "flips_of", "PaddedKeyValueMemory"):
        return getattr(_importlib.import_module("energyam.dynamics.deprecated"), name)
    raise AttributeError(f"module 'energyam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])
