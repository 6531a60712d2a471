"""Trainable associative memories: Equinox layers and networks, and the loop that trains them with optax."""

from energyam.nn.fast_weights import (
    FastWeightsCell as FastWeightsCell,
    FastWeightsRNN as FastWeightsRNN,
    LSTMRNN as LSTMRNN,
)
from energyam.nn.few_shot import (
    Accuracy as Accuracy,
    ConvEmbedding as ConvEmbedding,
    EpisodeLoss as EpisodeLoss,
    FewShotClassifier as FewShotClassifier,
    episode_accuracy as episode_accuracy,
)
from energyam.nn.hopfield_layers import Association as Association, HopfieldAttention as HopfieldAttention
from energyam.nn.hopfield_sets import (
    HopfieldLookup as HopfieldLookup,
    HopfieldPooling as HopfieldPooling,
)
from energyam.nn.projection import (
    ProjectedMemory as ProjectedMemory,
    ReconstructionLoss as ReconstructionLoss,
    perturb as perturb,
)
from energyam.nn.reads import (
    AbstractRead as AbstractRead,
    AttractorRead as AttractorRead,
    CosineRead as CosineRead,
    DotRead as DotRead,
    NearestRead as NearestRead,
    PrototypeRead as PrototypeRead,
)
from energyam.nn.training import Trained as Trained, train as train
