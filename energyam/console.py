"""How the commands say what is wrong: one line on the error output, and exit code 2."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from energyam.wording import in_one_line


@contextmanager
def errors_in_one_line(program: str) -> Iterator[None]:
    """Print each warning, and an error of the input, as one line of `program`; the error ends the command."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where: print(f"{program}: {message}", file=sys.stderr)
        try:
            yield
        except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:
            print(f"{program}: {in_one_line(error)}", file=sys.stderr)
            raise typer.Exit(2) from None
