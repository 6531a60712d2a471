"""Counting what a JAX program launches: the kernels of every loop body and branch, as often as they run.

The jaxpr of a program is interpreted, and a counter is carried along that says how often each body of a
`scan`, `while` or `cond` has run. The kernels of a body are the fused instructions of its compiled HLO.
They are taken from the CPU's compiler, so that a count needs no accelerator; another compiler may fuse a
little more or less. What runs once, outside of every loop and branch, is not counted, nor are the loops
that the compiler itself makes of one instruction (of a scatter, or of random bits).
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

# Primitives that run one program of the same arguments; which of them exist depends on the version of JAX.
CALLS = {
    "call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_lin": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "custom_vmap_call": "call",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}
LOOPS = ("scan", "while", "cond")
NO_KERNELS = {
    "after-all",
    "bitcast",
    "conditional",
    "constant",
    "get-tuple-element",
    "parameter",
    "tuple",
    "while",
}
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = .*? ([a-z][a-z\-]*)\(")


class Launches(NamedTuple):
    """What a program launches: kernels, turns of loops whose end depends on data, and branches taken."""

    kernels: int
    turns: int
    branches: int


class Body(NamedTuple):
    """A program that a `scan`, a `while` or a `cond` runs, and which of the three."""

    kind: str
    program: core.ClosedJaxpr


def count(function: Callable[..., Any], *args: Any) -> Launches:
    """What `function(*args)` launches, counted while it runs on these arguments.

    **Arguments:** `function`: of arrays, or pytrees of them; everything else it must close over. Raises
    `ValueError` where a loop stands inside a primitive that the count cannot look into.
    """
    program = jax.make_jaxpr(function)(*args)
    bodies = list({id(body.program): body for body in bodies_of(program.jaxpr)}.values())
    times = run_and_count(program, bodies, jax.tree.leaves(args))
    return total(bodies, times)


def total(bodies: list[Body], times: list[int]) -> Launches:
    """The launches of bodies that ran so often; a turn of `while` launches its predicate too."""
    ran = [(body, n) for body, n in zip(bodies, times, strict=True) if n > 0]
    kernels = sum(n * (kernels_of(body.program) + (body.kind == "while")) for body, n in ran)
    turns = sum(n for body, n in ran if body.kind == "while")
    branches = sum(n for body, n in ran if body.kind == "cond")
    return Launches(kernels, turns, branches)


def kernels_of(program: core.ClosedJaxpr) -> int:
    """How many instructions of the compiled program do work of their own; loops and branches in it do not."""
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in program.jaxpr.invars]
    with jax.default_device(jax.devices("cpu")[0]):
        text = jax.jit(core.jaxpr_as_fun(program)).lower(*shapes).compile().as_text()
    entry = text[text.index("\nENTRY") + 1 :].partition("\n}")[0]
    found = (INSTRUCTION.match(line) for line in entry.splitlines()[1:])
    return sum(match.group(1) not in NO_KERNELS for match in found if match)


def bodies_of(jaxpr: core.Jaxpr) -> Iterator[Body]:
    """All bodies of a program, at any depth, in the order in which they stand; a shared one comes twice."""
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name in CALLS:
            yield from bodies_of(called(eqn)[0])
        elif name in LOOPS:
            for program in programs_of_loop(eqn):
                yield Body(name, program)
                yield from bodies_of(program.jaxpr)
        elif any(True for inner in programs_in(eqn) for _ in bodies_of(inner)):
            raise ValueError(f"function must not have loops inside {name!r}, where they cannot be counted")
        if name == "while" and any(True for _ in bodies_of(eqn.params["cond_jaxpr"].jaxpr)):
            raise ValueError("function must not have loops inside the predicate of a loop; got one")


def programs_of_loop(eqn: core.JaxprEqn) -> tuple[core.ClosedJaxpr, ...]:
    """The programs whose runs are counted: a loop's body, or all branches."""
    if eqn.primitive.name == "cond":
        return eqn.params["branches"]
    return (eqn.params["body_jaxpr" if eqn.primitive.name == "while" else "jaxpr"],)


def programs_in(eqn: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """All programs among the parameters of an instruction."""
    nested = (value if isinstance(value, tuple | list) else (value,) for value in eqn.params.values())
    for value in itertools.chain.from_iterable(nested):
        if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
            yield getattr(value, "jaxpr", value)


def called(eqn: core.JaxprEqn) -> tuple[core.Jaxpr, list[Any]]:
    """The program that an instruction calls, with its constants."""
    program = eqn.params[CALLS[eqn.primitive.name]]
    return (program.jaxpr, program.consts) if isinstance(program, core.ClosedJaxpr) else (program, [])


def run_and_count(program: core.ClosedJaxpr, bodies: list[Body], leaves: list[Any]) -> list[int]:
    """How often each body runs when the program runs on these arrays."""
    counter = Counter({id(body.program): place for place, body in enumerate(bodies)})

    def run(leaves):
        return counter.run(program.jaxpr, program.consts, leaves, jnp.zeros(len(bodies), int))[1]

    return np.asarray(jax.jit(run)(leaves)).tolist()


class Counter:
    """Runs a program, and carries along how often each body has run; `places` are the bodies' counters."""

    def __init__(self, places: dict[int, int]):
        self.places = places

    def run(self, jaxpr, consts, args, times):
        """The results of a program on `args`, and `times` with all that ran in it added."""
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
        read = lambda atom: atom.val if isinstance(atom, core.Literal) else values[atom]  # noqa: E731
        for eqn in jaxpr.eqns:
            with eqn.ctx.manager:
                results, times = self._run_one(eqn, [read(atom) for atom in eqn.invars], times)
            values.update(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars], times

    def _run_one(self, eqn, args, times):
        name = eqn.primitive.name
        if name in CALLS:
            return self.run(*called(eqn), args, times)
        if name in LOOPS:
            return getattr(self, f"_{name}")(eqn.params, args, times)
        results = eqn.primitive.bind(*args, **eqn.params)
        return (results if eqn.primitive.multiple_results else [results]), times

    def _body(self, program, args, times):
        """One run of a body, counted."""
        times = times.at[self.places[id(program)]].add(1)
        return self.run(program.jaxpr, program.consts, args, times)

    def _scan(self, params, args, times):
        size, length, reverse = params["num_carry"], params["length"], params["reverse"]
        consts, carry, xs = split(args, params["num_consts"], size)

        def turn(carried, x):
            results, times = self._body(params["jaxpr"], [*consts, *carried[0], *x], carried[1])
            return (results[:size], times), results[size:]

        (carry, times), ys = lax.scan(turn, (carry, times), xs, length=length, reverse=reverse)
        return [*carry, *ys], times

    def _while(self, params, args, times):
        of_test, of_body, carry = split(args, params["cond_nconsts"], params["body_nconsts"])
        test = params["cond_jaxpr"]

        def unfinished(carried):
            return self.run(test.jaxpr, test.consts, [*of_test, *carried[0]], carried[1])[0][0]

        def turn(carried):
            results, times = self._body(params["body_jaxpr"], [*of_body, *carried[0]], carried[1])
            return where_unfinished(unfinished(carried), results, carried[0]), times

        return lax.while_loop(lambda carried: unfinished(carried).any(), turn, (carry, times))

    def _cond(self, params, args, times):
        which, *args = args
        ways = [
            lambda args, times, branch=branch: self._body(branch, args, times)
            for branch in params["branches"]
        ]
        return lax.switch(which, ways, args, times)


def split(values: list[Any], *sizes: int) -> list[list[Any]]:
    """A list in parts of these sizes, and what is left behind them."""
    ends = list(itertools.accumulate(sizes))
    return [values[a:b] for a, b in zip([0, *ends], [*ends, len(values)], strict=True)]


def where_unfinished(unfinished: jax.Array, new: list[Any], old: list[Any]) -> list[Any]:
    """Of a batch whose queries end after different numbers of turns, those that have ended stay as before."""
    if unfinished.ndim == 0:
        return new
    lift = lambda leaf: jnp.expand_dims(unfinished, range(unfinished.ndim, leaf.ndim))  # noqa: E731
    return [jnp.where(lift(after), after, before) for after, before in zip(new, old, strict=True)]
