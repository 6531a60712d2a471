"""Colours of a graph: neurons of one colour share no edge, so that a sweep decides all of them at once.

Made of known edges in numpy, at construction. A graph of two colours gets two; others are coloured greedily,
neurons of many edges first.
"""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int

_TERMS = 8  # edges that a step of a loop takes at the most
_LARGEST = 2**14  # neurons of a block, at the most
_VECTOR = 16  # numbers that a processor takes at once
_LAUNCH = 500  # what a step of a loop costs, in entries of its table


class Colouring(eqx.Module):
    """All neurons colour by colour, `order` (D,), in m blocks of at most n, without edges within a block.

    Block b has `sizes` [b] neurons, from place `starts` [b] of the order on. Its edges are in the tables from
    step `firsts` [b] to `firsts` [b + 1], and `blocks` (S,) says which block a step is of. A step holds up to
    T edges of every neuron: `neighbours` (S, T, n), the places that they lead to, and `edges` (S, T, n),
    which ones they are, E where there is none.
    """

    order: Int[Array | np.ndarray, " D"]
    starts: Int[Array | np.ndarray, " m"]
    sizes: Int[Array | np.ndarray, " m"]
    firsts: Int[Array | np.ndarray, " m+1"]
    blocks: Int[Array | np.ndarray, " S"]
    neighbours: Int[Array | np.ndarray, "S T n"]
    edges: Int[Array | np.ndarray, "S T n"]


def colours_of(edges: Int[np.ndarray, "E 2"], dim: int) -> Int[np.ndarray, " D"]:
    """A colour for each neuron, from 0 on, such that no edge joins two of one colour."""
    colours = _two_colours(edges, dim)
    if (colours[edges[:, 0]] != colours[edges[:, 1]]).all():
        return colours
    degrees = np.bincount(edges.reshape(-1), minlength=dim)
    stops, others = np.cumsum(degrees).tolist(), _by_neuron(edges, np.arange(dim))[1].tolist()
    greedy = [-1] * dim
    for i in np.argsort(-degrees, kind="stable").tolist():
        taken = {greedy[j] for j in others[stops[i] - int(degrees[i]) : stops[i]]}
        colour = 0
        while colour in taken:
            colour += 1
        greedy[i] = colour
    return np.array(greedy)


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
    """The neurons of a graph in blocks of one width, colour by colour.

    Neurons of a colour come by falling numbers of edges, so that those of a block have about as many.
    """
    colours, degrees = colours_of(edges, dim), np.bincount(edges.reshape(-1), minlength=dim)
    order = np.lexsort((-degrees, colours))
    ends = np.cumsum(np.bincount(colours))
    begins, terms = np.append(0, ends[:-1]), int(np.clip(degrees.max(), 1, _TERMS))
    n = min(_widths(ends - begins), key=lambda n: _cost(_cut(begins, ends, n)[0], degrees[order], n, terms))
    starts, sizes = _cut(begins, ends, n)
    steps = np.maximum(1, -(-degrees[order[starts]] // terms))
    firsts = np.append(0, np.cumsum(steps))
    numbers, others = _by_neuron(edges, np.argsort(order))
    # Entry [s, t, i] is edge (s − first) · T + t of neuron i of the block that step s belongs to.
    block = np.repeat(np.arange(len(starts)), steps)
    which = (np.arange(len(block)) - firsts[block])[:, None, None] * terms + np.arange(terms)[:, None]
    at = np.minimum(starts[block][:, None] + np.arange(n), dim - 1)
    inside = np.arange(n) < sizes[block][:, None]
    present = which < np.where(inside, degrees[order][at], 0)[:, None]
    first = (np.cumsum(degrees[order]) - degrees[order])[at][:, None]
    entry = np.where(present, first + which, len(numbers) - 1)
    arrays = order, starts, sizes, firsts, block, others[entry], numbers[entry]
    return Colouring(*(array.astype(np.int32) for array in arrays))


def _widths(sizes):
    """The widths of blocks that come into question: the largest colour, or a half, a quarter, … of it."""
    largest = min(int(sizes.max()), _LARGEST)
    widths = [-(-largest // 2**k) for k in range(largest.bit_length())]
    return [n if n < _VECTOR else n + -n % _VECTOR for n in widths]


def _cut(begins, ends, n):
    """Where blocks of at most n neurons start, and their sizes."""
    starts = np.concatenate([np.arange(b, e, n) for b, e in zip(begins, ends, strict=True)])
    stops = np.concatenate([np.append(np.arange(b, e, n)[1:], e) for b, e in zip(begins, ends, strict=True)])
    return starts, stops - starts


def _cost(starts, degrees, n, terms):
    """The cost of a sweep of such blocks, in entries of the tables."""
    steps = np.maximum(1, -(-degrees[starts] // terms))
    return np.sum((n * terms + _LAUNCH) * steps + n * terms + _LAUNCH)


def _by_neuron(edges, places):
    """Which edges the neurons have, and the places of their neighbours, place by place; none comes last."""
    both = places[edges.T.reshape(-1)]
    by_place = np.argsort(both, kind="stable")
    others = places[edges[:, ::-1].T.reshape(-1)][by_place]
    return np.append(by_place % max(len(edges), 1), len(edges)), np.append(others, 0)


def is_of(colouring: Colouring, edges: Int[np.ndarray, "E 2"], dim: int) -> bool:
    """Whether a colouring holds each neuron once, and each edge from both ends, none within a block."""
    order, starts, sizes, firsts, blocks, neighbours, numbers = map(np.asarray, jax.tree.leaves(colouring))
    placed = np.array_equal(np.sort(order), np.arange(dim)) and np.array_equal(
        np.append(starts, dim), np.append(0, np.cumsum(sizes))
    )
    if not placed or not np.array_equal(blocks, np.repeat(np.arange(len(starts)), np.diff(firsts))):
        return False
    step, term, at = np.nonzero(numbers < len(edges))
    block, number, other = blocks[step], numbers[step, term, at], neighbours[step, term, at]
    ends, own = edges[number], order[np.minimum(starts[block] + at, dim - 1)]
    first = own == ends[:, 0]
    right = (
        (at < sizes[block])
        & (own == np.where(first, *ends.T))
        & (order[other] == np.where(first, *ends.T[::-1]))
    )
    apart = (other < starts[block]) | (other >= starts[block] + sizes[block])
    each = np.bincount(2 * number + first, minlength=2 * len(edges))
    return bool(right.all() and apart.all() and (each == 1).all())
