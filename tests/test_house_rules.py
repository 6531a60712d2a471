"""The rules of the house, read off the syntax trees: each holds for energyam, and rejects a wrong snippet."""

import ast
import pathlib
import tomllib

import pytest

import energyam as eam

ROOT = pathlib.Path(eam.__file__).parent
FILES = {str(path.relative_to(ROOT).with_suffix("")): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}

# From the ground up. A file imports from its own room and from rooms on floors below it.
FLOORS = (
    ("wording", "sending"),
    ("row_files",),
    ("on_disk",),
    ("checks", "names", "abilities", "shown"),
    ("files", "linalg", "least_squares", "roots", "log_scale", "console", "diagnostics"),
    ("tensor_files", "hypersphere", "learning", "datasets", "flips"),
    ("hypercube", "structure", "segments"),
    ("memories", "theory", "saving"),
    ("dynamics", "sharding", "lm", "store"),
    ("outcomes", "partition"),
    ("evaluation", "ising", "nn", "plotting", "sklearn"),
    ("__init__",),
    ("pictures",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# What classes outside energyam may be inherited from.
OUTSIDE = {"Module", "NamedTuple", "Protocol", "ValueError", "StrEnum", "Figure"}
OUTSIDE |= {"BaseEstimator", "ClassifierMixin"}  # of scikit-learn

# Parameters that may be anything, and why.
ANYTHING = {
    "memory": "any object with an energy(state)",
    "model": "any module that training or generation takes",
    "prepared": "a rule's own",
    "carry": "a rule's own",
    "kept": "what flips keep between flips, their own",
    "rebuild": "a function between pytrees of states",
    "thing": "whatever a memory may be",
    "at": "where a run is, its own",
    "inputs": "what a run is given, looked at for traced arrays alone",
    "step": "what a rule returned, before it is checked",
    "before": "where a run was, its own",
    "neurons": "floors below `memories` can't name their class",
    "clamp": "a bool, bools, or a pytree of them",
    "separation": "any object with a potential(similarities): floors below `memories` can't name its class",
    "similarity": "any object with an of(pattern, state), likewise",
    "args": "handed on to the caller's own function",
    "otherwise": "any pytree of arrays, the caller's own",
    "node": "whatever a module may have as a field",
    "value": "checks take whatever a user may pass",
    "keys": "checks take whatever a user may pass",
    "values": "checks take whatever a user may pass",
    "tokenizer": "of an optional package",
    "bqm": "of an optional package",
}
# Where `key` is not a random key to draw from.
OTHER_KEYS = {
    "checks.key": "checks one",
    **{
        f"learning/{module}.{rule}": "the key of a pair"
        for module, rule in [
            *(("steps", f"{rule}_step") for rule in ("hebbian", "delta", "oja", "storkey")),
            ("networks", "gradient_step"),
            ("networks", "gradient_at"),
        ]
    },
    "memories/associator.OnlineAssociator.write": "the key of a pair",
    "lm/lookup.Lookup.nearest": "a token's key in attention",
    "lm/lookup.Lookup.weights": "a token's key in attention",
    "lm/lookup.Lookup.replacement": "a token's key in attention",
}


def functions(tree, prefix=""):
    """The functions of a module and the methods of its classes, with their names; not those inside others."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")


def is_public(name):
    return all(not part.startswith("_") or part == "__init__" for part in name.split("."))


def last_name(node):
    """`Module` of `eqx.Module`, `AbstractFlips` of `AbstractFlips[T]`."""
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "?")


def is_abstract(function):
    return any(last_name(decorator) == "abstractmethod" for decorator in function.decorator_list)


def classes_of(trees):
    return {
        node.name: (name, node)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def inherits_only_from_abstract_classes(trees):
    """A class is abstract, and says so by its name, or final."""
    known = classes_of(trees)
    for name, (module, node) in known.items():
        for base in map(last_name, node.bases):
            if not base.startswith("Abstract") and (base in known or base not in OUTSIDE):
                yield f"{module}: {name} inherits from {base}, which is not abstract"


def is_optional(function):
    return any(last_name(decorator) == "optional" for decorator in function.decorator_list)


def overrides_no_concrete_method(trees):
    """What a class has written, no other class writes anew, unless it is marked as optional.

    (`__check_init__` is called for each of them.)
    """
    known = classes_of(trees)

    def ancestors(node):
        for base in map(last_name, node.bases):
            if base in known:
                yield known[base][1]
                yield from ancestors(known[base][1])

    for name, (module, node) in known.items():
        own = {f.name for f in node.body if isinstance(f, ast.FunctionDef)} - {"__check_init__"}
        for ancestor in ancestors(node):
            for method in ancestor.body:
                if not isinstance(method, ast.FunctionDef) or is_abstract(method) or is_optional(method):
                    continue
                if method.name in own:
                    yield f"{module}: {name} overrides {ancestor.name}.{method.name}"


def calls_no_super(trees):
    """No class asks what the next one up would do."""
    for name, (module, written) in classes_of(trees).items():
        for node in ast.walk(written):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super":
                yield f"{module}:{node.lineno} {name} calls super()"


def imports_point_down(trees):
    """Imports at the top of a file are from its own room, or from floors below."""
    for module, tree in trees.items():
        room = module.split("/")[0]
        if room not in FLOOR:
            yield f"{module}: the room {room} has no floor; give it one in FLOORS"
            continue
        for node in tree.body:
            for target in _rooms_imported(node):
                if target != room and FLOOR.get(target, 99) >= FLOOR[room]:
                    yield f"{module}:{node.lineno} imports from {target}, which is no floor below"


def _rooms_imported(node):
    """The rooms of energyam that a statement imports from: `energyam` itself is `__init__`."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == "energyam":
        names = [f"energyam.{alias.name}" for alias in node.names]
        names = [name if name.split(".")[1] in FLOOR else "energyam" for name in names]
    else:
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
    parts = [name.split(".") for name in names]
    return [[*path, "__init__"][1] for path in parts if path[0] == "energyam"]


def says_what_parameters_are(trees):
    """No public parameter is `Any` or without an annotation, but for those of `ANYTHING`."""
    for module, tree in trees.items():
        for name, function in functions(tree):
            arguments = function.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            for one in every if is_public(name) else []:
                told = one.annotation is not None and not _is_any(one.annotation)
                if not told and one.arg not in {"self", "cls", *ANYTHING}:
                    yield f"{module}.{name}: {one.arg} must have a type"


def _is_any(annotation):
    if isinstance(annotation, ast.BinOp):  # Any | None
        return _is_any(annotation.left) or _is_any(annotation.right)
    return isinstance(annotation, ast.Name) and annotation.id == "Any"


def takes_keys_by_keyword(trees):
    """A random key is keyword-only, so it comes after everything that is given by position."""
    for module, tree in trees.items():
        for name, function in functions(tree):
            positional = [one.arg for one in [*function.args.posonlyargs, *function.args.args]]
            if "key" in positional and is_public(name) and f"{module}.{name}" not in OTHER_KEYS:
                yield f"{module}.{name}: key must be keyword-only"


def fits_on_a_screen(trees):
    """No function has more than 50 lines beside its signature and docstring."""
    for module, tree in trees.items():
        for name, function in functions(tree):
            documented = ast.get_docstring(function) is not None
            body = function.body[1:] if documented else function.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if lines > 50:
                yield f"{module}.{name} has {lines} lines"


def is_documented(trees):
    """Every public class and function of the files has a docstring of its own."""
    for module, tree in trees.items():
        if ast.get_docstring(tree) is None:
            yield f"{module} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                if ast.get_docstring(node) is None:
                    yield f"{module}.{node.name} has no docstring"


# Each rule with a snippet that it must reject.
RULES = {
    inherits_only_from_abstract_classes: "class A(eqx.Module): pass\nclass B(A): pass",
    overrides_no_concrete_method: (
        "class AbstractA(eqx.Module):\n    def f(self): return 1\nclass AbstractB(AbstractA): pass\n"
        "class C(AbstractB):\n    def f(self): return 2"
    ),
    calls_no_super: "class A:\n    def __init__(self): super().__init__()",
    imports_point_down: "from energyam.dynamics.recall import recall",
    says_what_parameters_are: "def f(x: Any | None, memory: Any): pass",
    takes_keys_by_keyword: "def f(key: PRNGKeyArray, x: int): pass",
    fits_on_a_screen: "def f():\n" + "    pass\n" * 51,
    is_documented: "'''A file.'''\nclass A: pass",
}
# Snippets that look alike and are right.
RIGHT = {
    inherits_only_from_abstract_classes: "class AbstractA(eqx.Module): pass\nclass B(AbstractA): pass",
    overrides_no_concrete_method: (
        "class AbstractA(eqx.Module):\n    @abc.abstractmethod\n    def f(self): ...\n"
        "    @property\n    @optional\n    def g(self): return None\n"
        "class B(AbstractA):\n    def f(self): return 2\n    @property\n    def g(self): return 2"
    ),
    imports_point_down: "from energyam import checks\ndef f():\n    from energyam.dynamics import recall",
    says_what_parameters_are: "def f(x: int, make: Callable[..., Any], memory: Any): pass",
    takes_keys_by_keyword: "def f(x: int, *, key: PRNGKeyArray): pass",
    fits_on_a_screen: "def f():\n    '''A line.\n\n" + "    more\n" * 60 + "    '''\n" + "    pass\n" * 50,
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule):
    assert not list(rule(TREES))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_rejects_a_wrong_snippet(rule):
    assert len(list(rule({"memories/wrong": ast.parse(RULES[rule])}))) == 1


@pytest.mark.parametrize("rule", RIGHT, ids=lambda rule: rule.__name__)
def test_the_rule_accepts_a_right_snippet(rule):
    assert not list(rule({"memories/right": ast.parse(RIGHT[rule])}))


def test_files_have_fewer_than_300_lines():
    assert not {name for name, path in FILES.items() if len(path.read_text("utf-8").splitlines()) >= 300}


def test_the_package_tells_type_checkers_that_it_is_typed():
    """The mark lies in the package, and the wheel is the package, nothing left out."""
    assert (ROOT / "py.typed").is_file()
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["energyam"]}
