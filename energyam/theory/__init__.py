"""Theory: formulas as pure functions of numbers."""

# attention and sparse distributed memory
from energyam.names import public_names
from energyam.theory.attention import BetaFit as BetaFit, EffectiveBeta as EffectiveBeta
from energyam.theory.attention import effective_beta as effective_beta, fit_beta as fit_beta
from energyam.theory.attention import fit_softmax_beta as fit_softmax_beta
from energyam.theory.bounds import exponent_beta as exponent_beta, log_lower_bound as log_lower_bound
from energyam.theory.bounds import log_normal_approximation as log_normal_approximation
from energyam.theory.bounds import log_upper_bound as log_upper_bound
from energyam.theory.query_key_norm import query_key_norm_betas as query_key_norm_betas
from energyam.theory.one_read import critical_distance as critical_distance, next_distance as next_distance
from energyam.theory.radius import optimal_radius as optimal_radius
from energyam.theory.suggestion import suggest_beta as suggest_beta
from energyam.theory.sdm import neuron_distance_distribution as neuron_distance_distribution
from energyam.theory.sdm import sdm_capacity as sdm_capacity, signal_to_noise as signal_to_noise

# how many patterns fit
from energyam.theory.capacity import (
    bit_error as bit_error,
    dense_transition_capacity as dense_transition_capacity,
    exponential_load as exponential_load,
    gardner_capacity as gardner_capacity,
    gardner_margin as gardner_margin,
    hopfield_capacity as hopfield_capacity,
    log_exponential_capacity as log_exponential_capacity,
    log_exponential_load as log_exponential_load,
    log_exponential_sequence_capacity as log_exponential_sequence_capacity,
    log_exponential_transition_capacity as log_exponential_transition_capacity,
    polynomial_capacity as polynomial_capacity,
    potts_capacity as potts_capacity,
    pseudo_inverse_capacity as pseudo_inverse_capacity,
    replica_capacity as replica_capacity,
    sparse_capacity as sparse_capacity,
    storkey_capacity as storkey_capacity,
    willshaw_capacity as willshaw_capacity,
)

__all__, __dir__ = public_names(__name__)
