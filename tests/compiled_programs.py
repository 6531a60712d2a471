"""Which programs JAX compiles during a call."""

import logging
import re

import jax


def compiled(caplog, call):
    """The names of the programs that a call compiles."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        caplog.clear()
        jax.block_until_ready(call())
        messages = [record.getMessage() for record in caplog.records]
    return re.findall(r"XLA compilation of jit\((\w+)\)", "\n".join(messages))
