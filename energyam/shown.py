"""How memories, their parts and answers print: by name, with shapes, and with what is small by value."""

import dataclasses
import html
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

_WIDE = 110  # letters of what is shown in one line
_FEW = 8  # numbers that are shown by value
_SMALL = 4096  # numbers whose range is shown, or how often each occurs if they stand for words


def shown(fields: str = "", **meaning: str | tuple[str, ...]) -> Callable[[type], type]:
    """A decorator: a dataclass or named tuple gets a `repr` that reads like an answer; a table in notebooks.

    Nothing is computed on a device, only what is small is read from one, traced arrays show their shapes, and
    fields that are None, and switches that are off by default, are left out.

    **Arguments:** `fields`: the names of those that are shown, all unless given; `meaning`: what a field
    holds, a tuple of words that its numbers stand for, or another name for it.
    """

    def decorate(cls: Any) -> Any:
        cls.__repr__ = lambda self: _in_lines(type(self).__name__, _rows(self, fields.split(), meaning))
        cls._repr_html_ = lambda self: _table(type(self).__name__, _rows(self, fields.split(), meaning))
        return cls

    return decorate


def counted(number: int, thing: str) -> str:
    """Such as "1 state" and "2 states"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _rows(answer, fields=(), meaning=None):
    """Pairs of a field's name and what it holds, in a few letters."""
    fields_of = dataclasses.fields(answer) if dataclasses.is_dataclass(answer) else ()
    own, off = getattr(answer, "_fields", None), {field.name for field in fields_of if field.default is False}
    for name in fields or own or [field.name for field in fields_of]:
        said, value = (meaning or {}).get(name), getattr(answer, name, None)
        if value is not None and not (value is False and name in off):
            yield (said, _text(value)) if isinstance(said, str) else (name, _text(value, said))


def _in_one_line(title, rows):
    return f"{title}({', '.join(f'{name}={text}' for name, text in rows)})"


def _in_lines(title, rows):
    rows = list(rows)
    line, wide = _in_one_line(title, rows), max((len(name) for name, _ in rows), default=0)
    return line if len(line) <= _WIDE else "\n".join([title, *(f"  {n:<{wide}}  {text}" for n, text in rows)])


def _table(title, rows):
    cells = [f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows]
    return f"<table><caption>{html.escape(title)}</caption>{''.join(cells)}</table>"


def _text(value, words=None):
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value, words)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    if hasattr(value, "_fields") or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return _in_one_line(type(value).__name__, _rows(value))
    if isinstance(value, list | tuple) and len(value) > _FEW:
        return f"{len(value)}: {', '.join(map(_text, value[:3]))}, …"
    if isinstance(value, list | tuple) and not all(isinstance(each, int | str) for each in value):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(getattr(value, "__name__", repr(value)))


def _array(array, words):
    shape = f"{array.dtype} {tuple(array.shape)}"
    if not 0 < array.size <= _SMALL or not _readable(array):
        return shape
    found = np.asarray(array)
    if words is not None and found.size <= _FEW:
        return ", ".join(words[code] for code in found.ravel())
    if words is not None:
        codes, counts = np.unique(found, return_counts=True)
        return ", ".join(f"{count} {words[code]}" for code, count in zip(codes, counts, strict=True))
    if found.size <= _FEW:
        listed = np.array2string(found.astype(object), separator=", ", formatter={"all": _number})
        return listed.replace("\n", "")
    return f"{shape} from {_number(found.min())} to {_number(found.max())}"


def _number(number):
    return str(number) if isinstance(number, int | np.integer | np.bool_) else f"{float(number):.4g}"


def _readable(array):
    """Whether numbers can be read: not those that are traced, deleted, or on another host; and no keys."""
    plain = isinstance(array.dtype, np.dtype) and array.dtype.kind not in "cOSUM"
    if not plain or array.dtype == jax.dtypes.float0:
        return False
    if isinstance(array, jax.Array) and not isinstance(array, jax.core.Tracer):
        return array.is_fully_addressable and not array.is_deleted()
    return isinstance(array, np.ndarray | np.generic)
