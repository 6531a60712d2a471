"""Abilities: what a part may offer beyond the one method that it must have.

A part is one class. Its abstract class states all that the library ever asks of it, and marks what need not
be written with `optional`; such a method answers None, or what can be derived. Callers ask and look at the
answer. A memory needs no base class at all, so it is asked by name, with `ask`.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def optional(method: Method) -> Method:
    """Mark a method of an abstract class as one that a final class may write anew."""
    return method


def check_written(kind: type, base: type, **options: Any) -> None:
    """Raise `ValueError` where the class `kind` writes a method of its abstract class `base` with other
    arguments. It is what `__init_subclass__` of `base` does, so that a mistake shows as it is made."""
    super(base, kind).__init_subclass__(**options)  # type: ignore[arg-type]
    for name, own in vars(kind).items():
        wanted = None if name.startswith("_") else getattr(base, name, None)
        if not inspect.isfunction(own) or not inspect.isfunction(wanted):
            continue
        asked = [p for p in inspect.signature(wanted).parameters.values() if p.default is p.empty]
        named = {p.name: None for p in asked if p.kind is p.KEYWORD_ONLY}
        try:
            inspect.signature(own).bind(*[None] * (len(asked) - len(named)), **named)
        except TypeError:
            shown, got = (", ".join(inspect.signature(one).parameters) for one in (wanted, own))
            raise ValueError(
                f"{name} of {kind.__name__} must be {name}({shown}); got {name}({got})"
            ) from None


def ask(thing: Any, name: str, *args: Any) -> Any:
    """What `thing.name(*args)` answers; None where it has no such method."""
    method = getattr(thing, name, None)
    return method(*args) if callable(method) else None
