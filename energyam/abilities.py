"""Abilities: the optional methods that a part may have beside its one required method.

A part is one class. Its abstract class has all methods that the library ever calls, and marks those that need
not be written with `optional`; such a method returns None, or something derived. Callers check the result. A
memory needs no base class, so its methods are looked up by name, with `ask`.
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
    """The result of `thing.name(*args)`; None if it has no such method."""
    method = getattr(thing, name, None)
    return method(*args) if callable(method) else None
