"""Right calls of the methods that users call, of one instance of every public class (see `right_calls`)."""

import functools
import inspect
import operator
import tempfile

import jax
from right_calls import BY_NAME, KEY, PROBLEM, REAL, X, model, public_names, right_call, store

import energyam as eam


def _stored():
    made = eam.Store(tempfile.mkdtemp())
    made.append(REAL, payloads=["a", "b", "c"])
    made.close()
    return made


# Instances of what the library makes for its users, or keeps on the disk.
INSTANCES = {
    "Recall": lambda: eam.recall(BY_NAME["memory"], X, key=KEY, record=True),
    "Store": _stored,
    "ising.Minimum": lambda: eam.ising.minimize(PROBLEM, 2, 2, key=KEY),
    "ising.Problem": lambda: PROBLEM,
    "lm.LanguageModel": model,
    "lm.MemoryStore": lambda: store().append(store()),
    "plotting.Animation": lambda: eam.plotting.animate(REAL.reshape(3, 2, 4)),
}

# Whose methods are not tried, and why.
NO_INSTANCE = {
    "Bounds": "made and asked by separations",
    "OnDisk": "stands for an array, of which the library reads blocks",
    "Tick": "made by recall, and asked by rules",
    "sklearn.MemoryClassifier": "scikit-learn checks rows and classes, in words of its own",
}
OF_THE_LIBRARY = {
    "ising.Problem.tree_unflatten": "by JAX",
    "lm.Lookup.replacement": "in a layer, with arrays",
    "lm.Lookup.weights": "in a layer, with arrays",
    "nn.FastWeightsCell.settle": "by the cell and its network, with what reads the memory",
}


class Method:
    """A method of one instance of a public class, which is made at the first call."""

    def __init__(self, name, cls, own):
        self.name, self.cls, self.own = name, cls, own
        whole = inspect.signature(getattr(cls, own))
        self.__signature__ = whole.replace(parameters=list(whole.parameters.values())[1:])

    def __call__(self, **given):
        return getattr(instance(self.name), self.own)(**given)


@functools.cache
def instance(name):
    """A right instance of a public class."""
    if name in INSTANCES:
        return INSTANCES[name]()
    called = operator.attrgetter(name)(eam)
    return called(**right_call(name, called))


def declared_by_parts(cls):
    """The methods that an abstract part declares, which the library calls with what it has made: all of the
    parts of memories, and of memories themselves those that a new one may write."""
    for base in cls.__mro__:
        if not base.__name__.startswith("Abstract") or not base.__module__.startswith("energyam."):
            continue
        is_memory = issubclass(base, eam.AbstractMemory) or hasattr(base, "window")
        for name, member in vars(base).items():
            if not name.startswith("_") or name == "__call__":
                written_anew = getattr(member, "__isabstractmethod__", False) or is_optional(member)
                if not is_memory or written_anew:
                    yield name


def is_optional(member):
    """Whether `abilities.optional` marks a method."""
    return inspect.isfunction(member) and inspect.getsource(member).lstrip().startswith("@optional")


def only_of_jax(called):
    """Whether all parameters are declared as arrays of JAX: what the library calls in its loops."""
    kinds = [one.annotation for one in inspect.signature(called).parameters.values()][1:]
    return all(getattr(kind, "array_type", None) is jax.Array for kind in kinds)


def methods():
    """The methods of public classes that users call, with their names, such as `KeyValueMemory.write`: what
    several classes inherit, of the first of them."""
    seen = set()
    for name, cls in public_names():
        if not isinstance(cls, type) or cls.__name__.startswith("Abstract") or name in NO_INSTANCE:
            continue
        left_out = {*declared_by_parts(cls), *declared_by_parts(eam.AbstractMemory)}
        for own in dir(cls):
            function, found = getattr(cls, own), inspect.getattr_static(cls, own)
            of_class = isinstance(found, staticmethod | classmethod)
            is_method = inspect.isfunction(inspect.unwrap(found)) and not of_class
            public = not own.startswith("_") or own == "__call__"
            if not is_method or not public or own in left_out or f"{name}.{own}" in OF_THE_LIBRARY:
                continue
            if only_of_jax(function):
                continue
            if function.__module__.startswith("energyam.") and function.__qualname__ not in seen:
                seen.add(function.__qualname__)
                yield f"{name}.{own}", Method(name, cls, own)
