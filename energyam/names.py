"""Which names a public module shows, and nothing that it only imports or shares with other files."""

import sys
from collections.abc import Callable


def public_names(module: str, *, also: str = "", without: str = "") -> tuple[list[str], Callable]:
    """`__all__` and `__dir__` for the end of a module: `__all__, __dir__ = public_names(__name__)`.

    They are the functions and classes written in the module or, where it is a folder, in its files, as far as
    its `__init__.py` imports them. **Arguments:** `also`: other names to show, constants and what comes from
    elsewhere, with spaces between them; `without`: helpers that lie there for other files of energyam.
    """
    own = {
        name
        for name, value in vars(sys.modules[module]).items()
        if not name.startswith("_") and f"{getattr(value, '__module__', None)}.".startswith(f"{module}.")
    }
    names = sorted((own | set(also.split())) - set(without.split()))
    return names, lambda: names
