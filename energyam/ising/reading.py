"""Files of graphs and QUBOs: G-set and rudy, plain lists of edges, COO, MatrixMarket and DIMACS."""

import gzip
import os
import pathlib
import zlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energyam.files import as_path

_MOST_VERTICES = 46_340  # whose square is below 2^31, the entries that one array may have
_MOST_LISTED = 10**8  # vertices that the first line of a file may announce
_MARKET = ("coordinate", ("real", "integer", "pattern"), ("general", "symmetric"))


class Lines(NamedTuple):
    """A file as its lines that are neither empty nor comments: their numbers, and their words."""

    path: pathlib.Path
    lines: list[tuple[int, list[str]]]
    loops: bool  # whether a line may hold i and i, as a QUBO has them


def read_gset(path: str | pathlib.Path) -> Float[Array, "D D"]:
    """The weights (D, D) of a graph file as in the G-set, plain or packed by gzip.

    The first line holds the numbers of vertices and edges, `n m`; each further one an edge, `i j w`, with
    vertices from 1 to n. Weights of an edge that appears twice add up. `max_cut` reads such files, and other
    kinds, without making a matrix.

    Raises `ValueError` with the number of a line that is malformed, joins a vertex to itself, names a vertex
    out of range, or has a weight that floats can't hold; if there are fewer or more than m edges, or too many
    vertices for a matrix; and for damaged archives and files that are no text.

        >>> import pathlib
        >>> _ = pathlib.Path("triangle.txt").write_text("3 3\\n1 2 1\\n2 3 1\\n1 3 -2\\n")
        >>> eam.ising.read_gset("triangle.txt")
        Array([[ 0.,  1., -2.],
               [ 1.,  0.,  1.],
               [-2.,  1.,  0.]], dtype=float32)
    """
    path = as_path(path, "path")
    lines = _lines(_text(path))
    if not lines:
        raise ValueError(f"{path} must start with a line 'n m'; it is empty")
    labels, rows, columns, values, _ = _with_header(Lines(path, lines, False), _MOST_VERTICES, "i j w")
    weights = np.zeros((len(labels), len(labels)), jnp.result_type(float))
    weights[rows, columns] = weights[columns, rows] = values
    return jnp.asarray(weights)


def read_terms(name: str, path: str | os.PathLike, loops: bool) -> tuple[Any, ...]:
    """The labels, rows, columns and values of a file, and whether it is a matrix in which pairs stand twice.

    The kind of file is recognised from its content. Raises `ValueError` with the path and the line.
    """
    path = as_path(path, name)
    text = _text(path)
    if text[:14].lower() == "%%matrixmarket":
        return _matrix_market(path, text)
    lines = [line for line in _lines(text) if line[1][0] != "c" and line[1][0][0] not in "#%"]
    if not lines:
        raise ValueError(f"{path} must hold lines 'i j w'; it is empty")
    file, first = Lines(path, lines, loops), lines[0][1]
    if first[0] == "p":
        return _with_problem_line(file)
    others = {len(words) for _, words in lines[1:]}
    if len(first) == 2 and (not others or others & {1, 3} or _is_header(file)):
        return _with_header(file, _MOST_LISTED, "i j w" if others != {2} else "i j")
    return _bare(file)


def _is_header(file):
    """Whether the first of many lines `i j` counts vertices and edges; raises where it only seems to."""
    (number, first), *others = file.lines
    n, m = _numbers(file.path, number, first, (int, int), "i j")
    vertices = [v for at, words in others for v in _numbers(file.path, at, words[:2], (int, int), "i j")]
    fits = min(vertices) >= 1 and max(vertices) <= n
    if fits and m > n and m != len(others):
        raise ValueError(
            f"{file.path}, line {number}: 'n m' must count the edges; got {m}, and {len(others)} lines follow"
        )
    return fits and m == len(others)


def _with_header(file, most, wanted):
    """Lines `i j w` or `i j` after a line `n m`, with vertices from 1 to n."""
    path, (number, words), lines = file.path, file.lines[0], file.lines[1:]
    n, m = _numbers(path, number, words, (int, int), "n m")
    if not 1 <= n <= most or m < 0:
        limits = f"n must be at least 1 and at most {most:,}, and m at least 0"
        raise ValueError(f"{path}, line {number}: {limits}; got {n} {m}")
    if len(lines) != m:
        raise ValueError(f"{path} must have m = {m} edges, as line {number} says; got {len(lines)}")
    edges = _edges(file, lines, wanted, (1, n))
    return range(1, n + 1), *_as_arrays(edges, lambda v: v - 1), False


def _with_problem_line(file):
    """DIMACS: `p edge n m` and lines `e i j [w]`, from 1; or `p qubo 0 n …` and lines `i j q`, from 0."""
    path, (number, words), lines = file.path, file.lines[0], file.lines[1:]
    kind = words[1].lower() if len(words) > 1 else ""
    if kind == "qubo":
        n = _numbers(path, number, words[2:4], (int, int), "p qubo 0 n")[1]
        edges = _edges(file, lines, "i j w", (0, n - 1))
        return range(n), *_as_arrays(edges, int), False
    n, m = _numbers(path, number, words[2:], (int, int), f"p {kind or 'edge'} n m")
    if len(lines) != m:
        raise ValueError(f"{path} must have m = {m} edges, as line {number} says; got {len(lines)}")
    for at, one in lines:
        if one[0] not in ("e", "a"):
            raise ValueError(f"{path}, line {at}: must be 'e i j' or 'e i j w'; got {' '.join(one)!r:.80}")
    lines = [(at, one[1:]) for at, one in lines]
    edges = _edges(file, lines, "i j w" if lines and len(lines[0][1]) == 3 else "i j", (1, n))
    return range(1, n + 1), *_as_arrays(edges, lambda v: v - 1), False


def _bare(file):
    """Lines `i j w` or `i j` alone: the labels are the numbers that come."""
    wanted = "i j" if len(file.lines[0][1]) == 2 else "i j w"
    edges = _edges(file, file.lines, wanted, None)
    labels = sorted({v for pair in edges for v in pair})
    index = {label: k for k, label in enumerate(labels)}
    plain = labels == list(range(len(labels)))
    return range(len(labels)) if plain else tuple(labels), *_as_arrays(edges, index.__getitem__), False


def _matrix_market(path, text):
    lines = _lines(text)
    (number, words), lines = lines[0], [line for line in lines[1:] if not line[1][0].startswith("%")]
    kind = [word.lower() for word in words[2:]]
    if len(kind) != 3 or any(word not in allowed for word, allowed in zip(kind, _MARKET, strict=True)):
        wanted = "'matrix coordinate', real, integer or pattern, general or symmetric"
        raise ValueError(f"{path}, line {number}: must be {wanted}; got {' '.join(words[1:])!r:.80}")
    if not lines:
        raise ValueError(f"{path} must have a line of its size after line {number}; it ends there")
    (number, words), lines = lines[0], lines[1:]
    n, columns, m = _numbers(path, number, words, (int, int, int), "n n m")
    if n != columns or n < 1:
        raise ValueError(f"{path}, line {number}: the matrix must be square; got {n} × {columns}")
    if len(lines) != m:
        raise ValueError(f"{path} must have m = {m} entries, as line {number} says; got {len(lines)}")
    wanted = "i j" if kind[1] == "pattern" else "i j w"
    edges = _edges(Lines(path, lines, True), lines, wanted, (1, n), ordered=kind[2] == "general")
    if kind[2] == "symmetric":
        edges |= {(j, i): w for (i, j), w in edges.items()}
    return range(1, n + 1), *_as_arrays(edges, lambda v: v - 1), True


def _edges(file, lines, wanted, vertices, ordered=False):
    """{(i, j): w} of lines, with i ≤ j unless they are `ordered`; what comes twice adds up."""
    dtype, edges = jnp.result_type(float), dict[tuple[int, int], float]()
    for number, words in lines:
        i, j, w = _edge(file, number, words, wanted, vertices)
        pair = (i, j) if ordered or i <= j else (j, i)
        edges[pair] = edges.get(pair, 0.0) + w
        if not abs(edges[pair]) <= float(jnp.finfo(dtype).max):
            raise ValueError(
                f"{file.path}, line {number}: a weight must be finite as {dtype}; got {edges[pair]}"
            )
    return edges


def _edge(file, number, words, wanted, vertices):
    kinds = (int, int, float)[: len(wanted.split())]
    i, j, w = [*_numbers(file.path, number, words, kinds, wanted), 1.0][:3]
    for vertex in (i, j) if vertices else ():
        if not vertices[0] <= vertex <= vertices[1]:
            allowed = f"vertices must be from {vertices[0]} to {vertices[1]}"
            raise ValueError(f"{file.path}, line {number}: {allowed}; got {vertex}")
    if i == j and not file.loops:
        raise ValueError(f"{file.path}, line {number}: an edge must join two vertices; got {i} twice")
    return i, j, w


def _as_arrays(edges, place):
    ends = np.array([(place(i), place(j)) for i, j in edges], np.int64).reshape(-1, 2)
    return *ends.T, np.array(list(edges.values()), np.float64)


def _lines(text):
    return [(number, line.split()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _text(path):
    """The text of a file in UTF-8, or in UTF-16 as its first bytes say, unpacked where they are gzip's."""
    content = path.read_bytes()
    try:
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {number}: must be text in UTF-8; got {error.reason}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged or truncated archive: {error}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _numbers(path, number, words, kinds, wanted):
    try:
        if not all(word.isascii() and "_" not in word for word in words):
            raise ValueError  # which Python reads as numbers, and no other program
        return [kind(word) for kind, word in zip(kinds, words, strict=True)]
    except ValueError:
        got = " ".join(words)
        shown = got if len(got) < 80 else f"{got[:60]} …"
        raise ValueError(f"{path}, line {number}: must be {wanted!r}; got {shown!r}") from None
