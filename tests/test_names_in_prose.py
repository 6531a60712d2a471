"""Code within sentences: what looks like a name of energyam, in pages and docstrings, exists."""

import ast
import builtins
import inspect
import pathlib
import re
import typing

import jax
import jaxtyping
import pytest

import energyam as eam

ROOT = pathlib.Path(__file__).parents[1]
HISTORY = {"changes.md"}  # it names what is gone
PAGES = [path for path in (ROOT / "docs").rglob("*.md") if path.name not in HISTORY]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
SOURCES = sorted((ROOT / "energyam").rglob("*.py"))
# What a variable of these names holds, wherever prose uses it.
HELD = {"result": "Recall", "samples": "Samples", "tick": "Tick", "separation": "AbstractSeparation"}
# Words in code that are no names in energyam's files: jax, others, the command line, the repository.
OTHERS = set("cuda tpu cpu int float setup docs test data sentiment twins vmap jit grad quick full".split())
OTHERS |= {"claims", "nature", "note", "optional", "site", "tutorials", "ENERGYAM_FAST", "ENERGYAM_GSET"}
OTHERS |= {"GPT2LMHeadModel", "LlamaForCausalLM", "Qwen2ForCausalLM", "HopfieldLayer", "reduce_window"}
FILE = re.compile(r"^[\w./…*-]+\.(py|md|ipynb|json|jsonl|yml|cff|toml|sh|safetensors|npz|gguf|txt)$")


def sources():
    """Every syntax tree of the package, by its path."""
    return {path: ast.parse(path.read_text("utf-8")) for path in SOURCES}


def identifiers(trees):
    """Every name that the package's own code uses: functions, classes, arguments, fields, attributes."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        found |= {getattr(node, field, None) for field in ("name", "arg", "attr", "id")}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            found.add(node.value)  # the words that an argument takes, as in order="uniform"
    return found - {None}


def codes(text):
    """Each `code` of a text that is not within a block of code, as an expression of Python if it is one."""
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_blocks):
        if FILE.match(code):
            continue
        try:
            yield code, ast.parse(code.replace("…", "...").lstrip("@ "), mode="eval").body
        except SyntaxError:
            continue  # a command, a path, a formula


def modules():
    return [getattr(eam, name) for name in dir(eam) if inspect.ismodule(getattr(eam, name))]


def found_at(name):
    """What a first name stands for: of a public module, or a variable that prose uses; or None."""
    if name in ("eam", "energyam"):
        return eam
    if name in HELD:
        return getattr(eam, HELD[name])
    return next((getattr(place, name) for place in (eam, *modules()) if name in dir(place)), None)


def attribute(owner, name):
    """`owner.name`, where a field of a class is what its annotation says; raises `AttributeError`."""
    hints = getattr(owner, "__annotations__", {}) if inspect.isclass(owner) else {}
    return hints[name] if name in hints else getattr(owner, name)


def what_is(node):
    """The thing that an expression names, None where prose alone can tell; raises where energyam lacks it."""
    if isinstance(node, ast.Name):
        return found_at(node.id)
    if isinstance(node, ast.Attribute):
        owner = what_is(node.value)
        return None if owner is None else attribute(owner, node.attr)
    if isinstance(node, ast.Call):
        called = what_is(node.func)
        if called is None or not callable(called) or isinstance(called, str):
            return None
        for keyword in node.keywords:
            assert keyword.arg in inspect.signature(called).parameters, keyword.arg
        answer = called if inspect.isclass(called) else typing.get_type_hints(called).get("return")
        return answer if getattr(answer, "__module__", "").startswith("energyam") else None
    return None


def problem(node, known):
    """What is wrong with an expression in prose; None if nothing."""
    try:
        for part in ast.walk(node):
            what_is(part)
    except (AttributeError, AssertionError) as error:
        return f"no {error}"
    for part in (part for part in ast.walk(node) if isinstance(part, ast.Name)):
        if part.id[0].isupper() and len(part.id) > 2:
            if found_at(part.id) is None and part.id not in known:
                return f"no class {part.id}"
        elif isinstance(node, ast.Name) and part.id not in known:
            return f"no name {part.id}"
    return None


@pytest.fixture(scope="module")
def known():
    """Names that code in prose may use."""
    names = (
        identifiers(sources().values())
        | OTHERS
        | set(dir(builtins))
        | set(dir(jaxtyping))
        | set(jax.config.values)
    )
    return names | {"eam", "energyam"}


def wrong(text, known, also=frozenset()):
    return [(code, why) for code, node in codes(text) if (why := problem(node, known | also))]


def own_names(text):
    """Names in a page's own blocks of code."""
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return identifiers(ast.parse(block) for block in blocks)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_what_there_is(page, known):
    text = page.read_text("utf-8")
    assert not wrong(text, known, own_names(text))


def test_docstrings_name_what_there_is(known):
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    texts = [
        (path.name, ast.get_docstring(node) or "")
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]
    assert len(texts) > 1000
    assert not {name: found for name, text in texts if (found := wrong(text, known))}


@pytest.mark.parametrize(
    "code",
    [
        'eam.datasets.load_images("folder").pixels',
        "eam.recal",
        "evaluation.retreived",
        "result.perod",
        "AbstractGains",
        "recall(memory, query, steps=3)",
        "no_such_name",
        "eam.CHN(patterns, beta=2.0)",
    ],
)
def test_a_name_that_is_missing_is_found(code, known):
    assert wrong(f"Use `{code}` for this.", known)


@pytest.mark.parametrize(
    "code",
    ["result.period", "evaluation.retrieved", 'Relaxation(rate, leak="output")', "recall", "eam.Tanh(1.0)"],
)
def test_a_name_that_is_there_is_no_problem(code, known):
    assert not wrong(f"Use `{code}` for this.", known)
