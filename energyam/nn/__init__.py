"""Trainable associative memories: Equinox layers and networks, and the loop that trains them with optax."""

from energyam.nn.fast_weights import FastWeightsCell as FastWeightsCell
from energyam.nn.fast_weights import FastWeightsRNN as FastWeightsRNN
from energyam.nn.fast_weights import LSTMRNN as LSTMRNN
from energyam.nn.few_shot import AttractorRead as AttractorRead
from energyam.nn.few_shot import ConvEmbedding as ConvEmbedding
from energyam.nn.few_shot import CosineRead as CosineRead
from energyam.nn.few_shot import DotRead as DotRead
from energyam.nn.few_shot import FewShotClassifier as FewShotClassifier
from energyam.nn.few_shot import NearestRead as NearestRead
from energyam.nn.few_shot import PrototypeRead as PrototypeRead
from energyam.nn.hopfield_layers import HopfieldAttention as HopfieldAttention
from energyam.nn.hopfield_layers import HopfieldLookup as HopfieldLookup
from energyam.nn.hopfield_layers import HopfieldPooling as HopfieldPooling
from energyam.nn.training import Trained as Trained
from energyam.nn.training import train as train
