"""Ising machines: problems such as QUBO and Max-Cut, and searches for their lowest state."""

from energyam.names import public_names
from energyam.ising.annealing import minimize as minimize
from energyam.ising.answers import Minimum as Minimum
from energyam.ising.bifurcation import SimulatedBifurcation as SimulatedBifurcation
from energyam.ising.constraints import at_most as at_most, equals as equals, one_hot as one_hot
from energyam.ising.instances import Planted as Planted, planted as planted
from energyam.ising.instances import sherrington_kirkpatrick as sherrington_kirkpatrick
from energyam.ising.models import from_bqm as from_bqm, to_bqm as to_bqm
from energyam.ising.problem import Problem as Problem
from energyam.ising.problems import cut_value as cut_value, from_ising as from_ising
from energyam.ising.problems import from_qubo as from_qubo, max_cut as max_cut, qubo_value as qubo_value
from energyam.ising.reading import read_gset as read_gset

__all__, __dir__ = public_names(__name__)
