"""The rows of the atlas of claims, one small function each; `benchmarks/claims.py` runs them."""

from benchmarks.atlas import (
    attention as attention,
    capacity as capacity,
    couplings as couplings,
    designs as designs,
    energies as energies,
    equations as equations,
    exponential as exponential,
    formulas as formulas,
    learned as learned,
    learning_rules as learning_rules,
    pictures as pictures,
    scaffolds as scaffolds,
    sdm as sdm,
    sparse_codes as sparse_codes,
)
from benchmarks.atlas.claim import (
    CLAIMS as CLAIMS,
    NATURES as NATURES,
    VERDICTS as VERDICTS,
    Claim as Claim,
    NotTestedError as NotTestedError,
)
