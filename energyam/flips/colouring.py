"""Colours of a graph: neurons of one colour share no edge, so that a sweep decides all of them at once.

Made of known edges in numpy, at construction. A graph of two colours gets two; others are coloured greedily,
neurons of many edges first.
"""

import itertools

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int

_FEW = 32  # programs that a sweep may be made of, one for each shape of blocks
_SMALL = 2**12  # entries of a block that is not worth splitting


class Blocks(eqx.Module):
    """m blocks of at most n neurons, each with at most k edges, and none of them within a block.

    `starts` (m,) and `sizes` (m,): the places of their neurons, one after another; `neighbours` (m, k, n):
    the places of their neighbours; `edges` (m, k, n): the edges that lead there, E where there is none.
    """

    starts: Int[Array | np.ndarray, " m"]
    sizes: Int[Array | np.ndarray, " m"]
    neighbours: Int[Array | np.ndarray, "m k n"]
    edges: Int[Array | np.ndarray, "m k n"]


class Colouring(eqx.Module):
    """All neurons colour by colour, `order` (D,), in blocks, those of one shape together."""

    order: Int[Array | np.ndarray, " D"]
    blocks: tuple[Blocks, ...]


def colours_of(edges: Int[np.ndarray, "E 2"], dim: int) -> Int[np.ndarray, " D"]:
    """A colour for each neuron, from 0 on, such that no edge joins two of one colour."""
    colours = _two_colours(edges, dim)
    if (colours[edges[:, 0]] != colours[edges[:, 1]]).all():
        return colours
    degrees = np.bincount(edges.reshape(-1), minlength=dim)
    ends, starts = _by_neuron(edges, dim)
    ends, starts = ends.tolist(), starts.tolist()
    greedy = [-1] * dim
    for i in np.argsort(-degrees, kind="stable").tolist():
        taken = {greedy[j] for j in ends[starts[i] : starts[i + 1]]}
        colour = 0
        while colour in taken:
            colour += 1
        greedy[i] = colour
    return np.array(greedy)


def _by_neuron(edges, dim):
    """The neighbours of all neurons, one neuron after another, and where those of each start."""
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    return both[:, 1], np.searchsorted(both[:, 0], np.arange(dim + 1))


def _two_colours(edges, dim):
    """Two colours, proper wherever two suffice.

    Every neuron is taken twice, with one colour and the other, and each edge joins a neuron of one to the
    neighbour of the other. A part of the graph has two colours exactly if its twins stay apart.
    """
    first = np.concatenate([edges[:, 0], edges[:, 0] + dim])
    second = np.concatenate([edges[:, 1] + dim, edges[:, 1]])
    lowest = _components(first, second, 2 * dim)
    return (lowest[:dim] > lowest[dim:]).astype(int)


def _components(first, second, num):
    """The least node of each node's connected component: roots go below lower neighbours until all agree.

    At least half of the roots that have neighbours go in each round.
    """
    root = np.arange(num)
    while True:
        a, b = root[first], root[second]
        apart = a != b
        if not apart.any():
            return root
        a, b = a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root[root] != root).any():
            root = root[root]


def coloured(edges: Int[np.ndarray, "E 2"], dim: int) -> Colouring:
    """The neurons of a graph in blocks, colour by colour, those of one shape together.

    The neurons of a colour are split by their numbers of edges, so that padding them to the most of a block
    costs no more than a few times the edges there are.
    """
    colours, degrees = colours_of(edges, dim), np.bincount(edges.reshape(-1), minlength=dim)
    by_colour = np.lexsort((-degrees, colours))
    bounds = np.searchsorted(colours[by_colour], np.arange(colours.max() + 2))
    split = 2
    while True:
        blocks = [
            block
            for low, high in itertools.pairwise(bounds)
            for block in _by_degree(by_colour[low:high], degrees, split)
        ]
        shapes = [_rounded(len(block), len(blocks)) for block in blocks]
        most = [_rounded(max(1, degrees[block[0]]), len(blocks)) for block in blocks]
        runs = _runs(list(zip(shapes, most, strict=True)))
        if len(runs) <= _FEW or split > dim:
            return _tables(edges, dim, [blocks[low:high] for low, high in runs], degrees)
        split *= 4


def _by_degree(neurons, degrees, split):
    """Neurons of falling degree, in parts whose degrees differ by less than a factor."""
    parts = []
    while len(neurons):
        most = degrees[neurons[0]]
        here = degrees[neurons] * split > (most if most * len(neurons) > _SMALL else -1)
        parts.append(neurons[here])
        neurons = neurons[~here]
    return parts


def _rounded(size, num_blocks):
    """A size, rounded up where there are many blocks, so that they have few shapes."""
    if num_blocks <= 4:
        return size
    power = 2 ** int(size - 1).bit_length()
    return power * 3 // 4 if size <= power * 3 // 4 else power


def _runs(keys):
    """Where runs of equal keys start and end."""
    starts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    return list(zip(starts, [*starts[1:], len(keys)], strict=True))


def _tables(edges, dim, runs, degrees):
    """The blocks of each run as arrays."""
    order = np.concatenate([block for blocks in runs for block in blocks])
    places = np.append(np.argsort(order), 0)
    both = edges.T.reshape(-1)
    by_neuron = np.argsort(both, kind="stable")
    numbers = np.append(by_neuron % max(len(edges), 1), len(edges))
    others = np.append(places[edges[:, ::-1].T.reshape(-1)[by_neuron]], 0)
    firsts = np.cumsum(degrees) - degrees
    made, start = [], 0
    for blocks in runs:
        sizes = np.array([len(block) for block in blocks])
        starts = start + np.cumsum(sizes) - sizes
        n = np.arange(sizes.max())
        here = order[np.minimum(starts[:, None] + n, dim - 1)]
        most = np.where(n < sizes[:, None], degrees[here], 0)
        k = np.arange(max(1, most.max()))[:, None]
        at = np.where(k < most[:, None], firsts[here][:, None] + k, len(numbers) - 1)
        made.append(Blocks(*(a.astype(np.int32) for a in (starts, sizes, others[at], numbers[at]))))
        start += sizes.sum()
    return Colouring(order.astype(np.int32), tuple(made))


def is_of(colouring: Colouring, edges: Int[np.ndarray, "E 2"], dim: int) -> bool:
    """Whether blocks hold each neuron once, and each edge from both ends, none within a block."""
    order, found, start = np.asarray(colouring.order), [], 0
    if not np.array_equal(np.sort(order), np.arange(dim)):
        return False
    for group in colouring.blocks:
        starts, sizes, neighbours, numbers = map(np.asarray, jax.tree.leaves(group))
        m, k, at = np.nonzero(numbers < len(edges))
        own, other = starts[m] + at, neighbours[m, k, at]
        inside = (other >= starts[m]) & (other < starts[m] + sizes[m])
        if (at >= sizes[m]).any() or inside.any() or not _follow(starts, sizes, start):
            return False
        start = starts[-1] + sizes[-1]
        found.append(np.stack([numbers[m, k, at], order[own], order[other]], axis=1))
    wanted = np.column_stack([np.arange(len(edges)), edges])
    wanted = np.concatenate([wanted, wanted[:, [0, 2, 1]]])
    found = np.concatenate(found)
    rows = lambda a: a[np.lexsort(a.T[::-1])]  # noqa: E731
    return start == dim and np.array_equal(rows(found), rows(wanted))


def _follow(starts, sizes, start):
    """Whether blocks lie one after another from `start` on."""
    return np.array_equal(starts, start + np.cumsum(sizes) - sizes)
