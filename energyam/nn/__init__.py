"""Trainable associative memories: Equinox layers and networks, and the loop that trains them with optax."""

from energyam.names import public_names
from energyam.nn.energy_losses import contrastive_divergence as contrastive_divergence
from energyam.nn.energy_losses import denoising_score_matching as denoising_score_matching
from energyam.nn.energy_losses import probability_flow as probability_flow
from energyam.nn.energy_losses import pseudo_likelihood as pseudo_likelihood
from energyam.nn.energy_transformer import Descent as Descent, EnergyTransformer as EnergyTransformer
from energyam.nn.energy_transformer import MaskedCompletion as MaskedCompletion, as_patches as as_patches
from energyam.nn.episodes import Accuracy as Accuracy, EpisodeLoss as EpisodeLoss
from energyam.nn.episodes import episode_accuracy as episode_accuracy
from energyam.nn.fast_weight_layer import FastWeightLayer as FastWeightLayer
from energyam.nn.fast_weights import FastWeightsCell as FastWeightsCell, FastWeightsRNN as FastWeightsRNN
from energyam.nn.fast_weights import LSTMRNN as LSTMRNN
from energyam.nn.few_shot import ConvEmbedding as ConvEmbedding, FewShotClassifier as FewShotClassifier
from energyam.nn.hopfield_layers import Association as Association, HopfieldAttention as HopfieldAttention
from energyam.nn.hopfield_sets import HopfieldLookup as HopfieldLookup, HopfieldPooling as HopfieldPooling
from energyam.nn.layer_losses import Nudged as Nudged, contrastive_hebbian as contrastive_hebbian
from energyam.nn.layer_losses import equilibrium_propagation as equilibrium_propagation
from energyam.nn.layer_losses import predictive_coding as predictive_coding
from energyam.nn.projection import ProjectedMemory as ProjectedMemory
from energyam.nn.projection import ReconstructionLoss as ReconstructionLoss, perturb as perturb
from energyam.nn.reads import AbstractRead as AbstractRead, AttractorRead as AttractorRead
from energyam.nn.reads import CosineRead as CosineRead, DotRead as DotRead, NearestRead as NearestRead
from energyam.nn.reads import PrototypeRead as PrototypeRead, SettledRead as SettledRead
from energyam.nn.rest import recall_at_rest as recall_at_rest
from energyam.nn.training import Trained as Trained, train as train

__all__, __dir__ = public_names(__name__)
