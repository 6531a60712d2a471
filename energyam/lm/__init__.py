"""Language models with a persistent memory inside their attention (extra `lm`)."""

from energyam.names import public_names
from energyam.lm.attention import Heads as Heads
from energyam.lm.fetch import fetch_smollm2 as fetch_smollm2, find_smollm2 as find_smollm2
from energyam.lm.load import load as load
from energyam.lm.lookup import Lookup as Lookup
from energyam.lm.remember import remember as remember
from energyam.lm.store import MemoryStore as MemoryStore
from energyam.lm.tokenizer import decode_after as decode_after, load_tokenizer as load_tokenizer
from energyam.lm.transformer import LanguageModel as LanguageModel
from energyam.lm.generate import generate as generate, generate_cached as generate_cached, stream as stream
from energyam.lm.evaluate import Findings as Findings, Sentiment as Sentiment
from energyam.lm.evaluate import answer_log_probabilities as answer_log_probabilities, look_ups as look_ups
from energyam.lm.evaluate import sentiment as sentiment, sweep_layers as sweep_layers

__all__, __dir__ = public_names(__name__)
