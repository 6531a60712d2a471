"""Abilities: what a part may offer beyond the one method that it must have.

A part is one class. Its abstract class states all that the library ever asks of it, and marks what need not
be written with `optional`; such a method answers None, or what can be derived. Callers ask and look at the
answer. A memory needs no base class at all, so it is asked by name, with `ask`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def optional(method: Method) -> Method:
    """Mark a method of an abstract class as one that a final class may write anew."""
    return method


def ask(thing: Any, name: str, *args: Any) -> Any:
    """What `thing.name(*args)` answers; None where it has no such method."""
    method = getattr(thing, name, None)
    return method(*args) if callable(method) else None
