"""Ising machines: QUBO, Max-Cut and couplings in and out, and searches for the lowest state."""

from energyam.names import public_names
from energyam.ising.annealing import Minimum as Minimum, minimize as minimize
from energyam.ising.bifurcation import SimulatedBifurcation as SimulatedBifurcation
from energyam.ising.instances import Planted as Planted, planted as planted
from energyam.ising.instances import sherrington_kirkpatrick as sherrington_kirkpatrick
from energyam.ising.problems import cut_value as cut_value, from_bqm as from_bqm, from_qubo as from_qubo
from energyam.ising.problems import max_cut as max_cut, read_gset as read_gset, to_bqm as to_bqm

__all__, __dir__ = public_names(__name__)
