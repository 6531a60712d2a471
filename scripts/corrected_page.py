"""The page on what the literature gets wrong: every corrected row of the atlas, in five sentences.

The numbers in the sentences are those of the kept rows, so the page can't say another thing than the atlas.
"""

from typing import NamedTuple

from claims_page import cell, kept, linked, ours, published


class Lesson(NamedTuple):
    """What some corrected rows say together: `{0[published]}` is the published number of the first row.

    The second sentence, where it was published, is made from the rows' source.
    """

    title: str
    rows: tuple[str, ...]
    claimed: str
    right: str
    known: str
    follows: str


LESSONS = (
    Lesson(
        "The β of attention that imitates a sparse distributed memory",
        ("beta-circle-5", "beta-circle-11", "beta-circle-15", "beta-cap-11"),
        "The β with which softmax attention fits the intersections of circles in 64 dimensions was given as "
        "{0[published]}, {1[published]} and {2[published]} at the radii 5, 11 and 15, and as {3[published]} "
        "for caps of the sphere at radius 11.",
        "The least-squares slopes are {0[ours]:.2f}, {1[ours]:.2f}, {2[ours]:.2f} and {3[ours]:.2f}.",
        "The published program divides a covariance over N − 1 points by a variance over N points, which "
        "makes every slope N/(N − 1) times too large, and its numbers come back to the last digit if that "
        "is done on purpose (row `beta-as-published`).",
        "The likeness of attention and this memory stands, but a layer whose β is set by these numbers is "
        "too sharp, by a quarter at radius 5 and by a fourteenth at radius 15.",
    ),
    Lesson(
        "How many locations two addresses share",
        ("shared-locations-0", "shared-locations-10", "shared-locations-100", "shared-locations-200"),
        "Two addresses of 1,000 bits that are 0, 10, 100 or 200 bits apart were said to share "
        "{0[published]}, {1[published]}, {2[published]} or {3[published]} of a million locations of radius "
        "451.",
        "They share {0[ours]:.0f}, {1[ours]:.0f}, {2[ours]:.0f} or {3[ours]:.0f}.",
        "The intersection of two circles is a finite sum of products of binomial coefficients, which we add "
        "up exactly, and random locations agree with such a sum in 64 dimensions (row `random-locations`), "
        "while the book has a continuous approximation.",
        "All four are 7 % low, so a memory of this size reads from 7 % more locations than the book counts "
        "on.",
    ),
    Lesson(
        "The critical distance of Kanerva's memory",
        ("critical-distance-book",),
        "A memory of a million locations and 10,000 patterns of 1,000 bits was said to have a critical "
        "distance of {0[published]} bits.",
        "One read lands nearer to the pattern than its query was from up to {0[ours]:.0f} bits away.",
        "Summed over all distances the noise of the other patterns is 162.5, for which the book has 103, "
        "and patterns near the query add a pull of 128.6, which it leaves out, and simulated memories of a "
        "million locations cross at 229 ± 1.",
        "The two errors cancel in part, and recall reaches a tenth further than the book says; what many "
        "reads in a row do near that distance was not simulated.",
    ),
    Lesson(
        "The critical distance by a newer noise",
        ("critical-distance-paper",),
        "A newer formula for the noise gives {0[published]} bits as the critical distance of the same "
        "memory, a number that we worked out from the formula.",
        "It is {0[ours]:.0f} bits.",
        "The formula puts every other pattern at half the dimension from the query, so that none pulls "
        "towards it, while the sum over all distances counts that pull and agrees with simulated memories "
        "(229 ± 1).",
        "Whoever judges convergence by this formula is too cautious by more than a quarter.",
    ),
    Lesson(
        "The radius of the best signal to noise",
        ("radius-snr-exact",),
        "The radius with the best signal to noise in 64 dimensions, with 1,024 patterns, was given as "
        "{0[published]}.",
        "It is {0[ours]:.0f}.",
        "The published number takes the locations of two patterns for independent of each other, which they "
        "are not at half the dimension, and it comes back if we do the same (row `radius-snr`), while the "
        "exact intersections move the best radius.",
        "The radius for signal to noise is then the one that also has the largest critical distance, and "
        "there is no trade between the two (row `radius-critical-distance`).",
    ),
    Lesson(
        "A lower bound that is none",
        ("lower-bound",),
        "An exponential was said to be a lower bound of the intersection of two circles of radius 11 in 64 "
        "dimensions.",
        "It lies above the intersection at every distance from 1 to 22, where the share that it bounds is "
        "{0[ours]:.0f}.",
        "We count the intersections exactly and compare them one by one: the exponential is the normal "
        "approximation of the largest term of the sum.",
        "It remains a good approximation, but nothing can be guaranteed by it.",
    ),
    Lesson(
        "The nearest of a million locations",
        ("nearest-location",),
        "A point was said to have one of a million random locations within 410 of 1,000 bits with the "
        "probability {0[published]}.",
        "The probability is {0[ours]:.5f}.",
        "It is 1 − (1 − F)ʳ with the binomial distribution F, and the published number comes from a normal "
        "distribution that is not moved by half a bit.",
        "So far from the middle the normal tail is a tenth too thin, and counts of near locations that rest "
        "on it are too low by as much.",
    ),
    Lesson(
        "The signal to noise of the book's formula",
        ("signal-to-noise-book",),
        "The book's formula makes the signal {0[published]:.2f} times the noise of the other patterns, for "
        "100 patterns of 100 bits, a radius of 35 and 10,000 locations, a number that we worked out from it.",
        "Summed over all distances it is {0[ours]:.2f}.",
        "The formula lets the number of shared locations depend on the distance to first order only, which "
        "leaves out 5 % of the variance, and memories confirm the direction ({0[control]}).",
        "The book flatters its memory by 3 %, too little to change what it concludes.",
    ),
    Lesson(
        "How much a network of order 2 holds",
        ("order-two",),
        "A network of order 2 was said to hold {0[published]} patterns for each neuron with half a per cent "
        "of the bits wrong.",
        "It holds {0[ours]:.3f}.",
        "The paper's own formula, K = D/Φ⁻¹(.005)², says so, and its answer is {0[published]} for .38 % of "
        "the bits.",
        "The number is the classical limit of Hopfield's network, not a value of the formula that it stands "
        "beside, and how the capacity grows with the order is not touched.",
    ),
)
LAST_DIGITS = (
    Lesson(
        "A constant of theorem 3",
        ("sphere-constant-75",),
        "The second example of the theorem, one pattern in 75 dimensions, was given with the constant "
        "{0[published]}.",
        "It is {0[ours]:.5f}, which rounds to another last digit.",
        "Newton's method for Lambert's function gives the first example to all its digits (row "
        "`sphere-constant-20`) and shows that the second was cut off after four decimals.",
        "Nothing follows for the theorem, but a lower bound should not be rounded down.",
    ),
    Lesson(
        "Where retrieval states cease to be the lowest",
        ("global-minima",),
        "Retrieval states of Hebb's rule were said to have the lowest energy of all up to {0[published]} "
        "patterns for each neuron.",
        "The replica-symmetric equations of the paper give {0[ours]:.5f}.",
        "Bisection along the solution and plain iteration of the equations agree in all these digits, so "
        "the published number looks as if it were cut off and not rounded.",
        "Nothing follows but the last digit.",
    ),
)


def corrected_page() -> str:
    """The whole page as Markdown."""
    rows = {row["name"]: row for row in kept()["results"]}
    count = sum(len(lesson.rows) for lesson in (*LESSONS, *LAST_DIGITS))
    lines = [
        "# What the literature gets wrong\n",
        f"{count} numbers of the [atlas of claims](claims.md) differ from what was published, and we know "
        f"why. Each is told here in five sentences: what was claimed, where, what is right, how we know, "
        f"and what follows. The numbers are those of the atlas, and `python -m benchmarks.claims NAME` "
        f"computes any of them again.\n",
    ]
    for lesson in LESSONS:
        lines += section(lesson, rows)
    lines += ["## Last digits\n", "Here the difference is in the last digit that was printed.\n"]
    for lesson in LAST_DIGITS:
        lines += section(lesson, rows, "###")
    return "\n".join(lines)


def section(lesson: Lesson, rows: dict[str, dict], mark: str = "##") -> list[str]:
    """One lesson: its five sentences, and its rows in a table."""
    table = ["| row | published | ours |", "|---|---|---|"]
    table += [f"| `{name}` | {published(rows[name])} | {ours(rows[name])} |" for name in lesson.rows]
    return [f"{mark} {lesson.title}\n", " ".join(sentences(lesson, rows)) + "\n", *table, ""]


def sentences(lesson: Lesson, rows: dict[str, dict]) -> list[str]:
    """The five sentences, with the numbers and the source of the rows."""
    mine = [rows[name] for name in lesson.rows]
    claimed, right, known, follows = (
        text.format(*mine) for text in (lesson.claimed, lesson.right, lesson.known, lesson.follows)
    )
    sources = list(dict.fromkeys(row["source"] for row in mine))
    where = f"The source is {' and '.join(linked(cell(source)) for source in sources)}."
    return [claimed, where, right, known, follows]
