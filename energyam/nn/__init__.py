"""Trainable associative memories: Equinox layers and networks, and the loop that trains them with optax."""

from energyam.names import public_names
from energyam.nn.energy_losses import (
    contrastive_divergence as contrastive_divergence,
    denoising_score_matching as denoising_score_matching,
    probability_flow as probability_flow,
    pseudo_likelihood as pseudo_likelihood,
)
from energyam.nn.energy_transformer import (
    Descent as Descent,
    EnergyTransformer as EnergyTransformer,
    MaskedCompletion as MaskedCompletion,
    as_patches as as_patches,
)
from energyam.nn.episodes import (
    Accuracy as Accuracy,
    EpisodeLoss as EpisodeLoss,
    episode_accuracy as episode_accuracy,
)
from energyam.nn.fast_weights import (
    FastWeightsCell as FastWeightsCell,
    FastWeightsRNN as FastWeightsRNN,
    LSTMRNN as LSTMRNN,
)
from energyam.nn.few_shot import ConvEmbedding as ConvEmbedding, FewShotClassifier as FewShotClassifier
from energyam.nn.hopfield_layers import Association as Association, HopfieldAttention as HopfieldAttention
from energyam.nn.hopfield_sets import HopfieldLookup as HopfieldLookup, HopfieldPooling as HopfieldPooling
from energyam.nn.layer_losses import (
    Nudged as Nudged,
    contrastive_hebbian as contrastive_hebbian,
    equilibrium_propagation as equilibrium_propagation,
    predictive_coding as predictive_coding,
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
    SettledRead as SettledRead,
)
from energyam.nn.rest import recall_at_rest as recall_at_rest
from energyam.nn.training import Trained as Trained, train as train

__all__, __dir__ = public_names(__name__)
