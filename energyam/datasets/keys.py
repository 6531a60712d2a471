"""Keys by name: every function here that draws at random takes `key` as its last argument."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from energyam import checks

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def key_by_name(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function`, with a `ValueError` that shows the call where the key is missing, wrong, or comes first.

    Up to version 0.1 some of these functions took the key as their first argument.
    """
    parameters = inspect.signature(function).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    call = f"{function.__name__}({', '.join([*required, 'key=key'])})"

    @functools.wraps(function)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if any(map(checks.is_key, args)):
            raise ValueError(f"key must be given by name, after the other arguments: {call}")
        if "key" not in kwargs:
            raise ValueError(f"key must be given, a jax random key such as jax.random.key(0): {call}")
        checks.key("key", kwargs["key"])
        return function(*args, **kwargs)

    return checked
