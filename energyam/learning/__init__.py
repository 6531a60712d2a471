"""Learning: rules that compute weights from all patterns, and steps that write one pair at a time.

`hebbian`, `storkey`, `pseudo_inverse` and the like take patterns, or keys and values, and return a matrix.
A step, `step(memory, key, value, *, rate, …)`, returns a memory with one more pair written into it:

    step             what it writes into W                                  W k afterwards
    hebbian_step     rate · v kᵀ                                            more of v
    storkey_step     rate · (x xᵀ − x hᵀ − h xᵀ), h the field               nearer to x = k
    delta_step       rate · (v − W k) kᵀ                                    v at rate 1/‖k‖²
    oja_step         rate · v (k − Wᵀ v)ᵀ                                   more of v, W stays bounded
    gradient_step    − rate · ∂ ½‖f(k) − v‖², with momentum, for networks   nearer to v

Each takes a `decay`, by which the earlier content is multiplied. `write` runs a step over many pairs, and
`stream` reads with a query after each of them, one after another or in chunks that are computed at once.
"""

from energyam.learning.margins import dreaming as dreaming, minover as minover, stability as stability
from energyam.learning.matrices import (
    correlation_matrix_memory as correlation_matrix_memory,
    hebbian as hebbian,
    optimal_linear_associator as optimal_linear_associator,
    pseudo_inverse as pseudo_inverse,
    sequence_weights as sequence_weights,
    storkey as storkey,
    transition_weights as transition_weights,
)
from energyam.learning.networks import GradientMemory as GradientMemory, gradient_step as gradient_step
from energyam.learning.steps import (
    delta_step as delta_step,
    forget as forget,
    hebbian_step as hebbian_step,
    oja_step as oja_step,
    storkey_step as storkey_step,
)
from energyam.learning.streams import Stream as Stream, stream as stream
from energyam.learning.writing import store as store, write as write
from energyam.names import public_names

__all__, __dir__ = public_names(__name__)
