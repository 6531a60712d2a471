"""Ising machines: QUBO, Max-Cut and couplings in and out, and searches for the lowest state."""

from energyam.names import public_names
from energyam.ising.annealing import Minimum as Minimum, minimize as minimize
from energyam.ising.bifurcation import SimulatedBifurcation as SimulatedBifurcation
from energyam.ising.problems import Planted as Planted, cut_value as cut_value, from_bqm as from_bqm
from energyam.ising.problems import from_qubo as from_qubo, max_cut as max_cut, planted as planted
from energyam.ising.problems import read_gset as read_gset, to_bqm as to_bqm
from energyam.ising.problems import sherrington_kirkpatrick as sherrington_kirkpatrick

__all__, __dir__ = public_names(__name__)
