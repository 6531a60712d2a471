"""Pictures and animations of patterns, recalls and energies; matplotlib is imported with the first of
them."""

from energyam.names import public_names
from energyam.plotting.animation import Animation as Animation, animate as animate
from energyam.plotting.chains import chains as chains
from energyam.plotting.figures import show_patterns as show_patterns, show_recall as show_recall
from energyam.plotting.landscape import animate_landscape as animate_landscape
from energyam.plotting.landscape import show_landscape as show_landscape

__all__, __dir__ = public_names(__name__)
