"""Strict settings for every test: no silent rank promotion, and a fresh key on demand."""

import contextlib
import gc
import importlib
import inspect
import itertools
import os
import pathlib

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("ENERGYAM_FAST", "1")

import jax
import jax.random as jr
import jaxtyping
import pytest
from jax._src import (
    compilation_cache,  # private: see `keep_programs`
    compiler,  # private: see `quickly_made`
)
from jax._src.interpreters import mlir  # private: see `one_context`
from jaxlib.mlir import ir
from sampled_rows import sampled

jax.config.update("jax_numpy_rank_promotion", "raise")
# In haste, while files are collected and in most of them: see `_programs_of_one_file`.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def getkey():
    """A function that gives a different, reproducible key at each call."""
    keys = iter(jr.split(jr.key(20261121), 1000))
    return lambda: next(keys)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """A folder of one's own to be in, and a cache with small stand-ins of all that can be fetched."""
    import example_files  # not above: the type-checking hook must come before energyam

    from energyam.datasets import downloads

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENERGYAM_CACHE", str(tmp_path / "energyam"))
    for name, file in example_files.fetched(tmp_path / "energyam").items():
        monkeypatch.setitem(downloads.FILES, name, file)
    return tmp_path


@pytest.fixture
def no_hook():
    """No runtime type checks, so that the errors are those that users see."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def x64():
    """64-bit floats, and the switch; jax 0.7 has it in `experimental` alone, newer ones warn of it there."""
    place = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    with place.enable_x64(True):
        yield place.enable_x64


# Files whose facts are of programs as users compile them; single tests elsewhere ask for `as_users_do`.
AS_USERS_DO = ("compilations", "sharding")
as_made = getattr(compiler, "get_compile_options", None)
HASTE = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}


def quickly_made(*args, **kwargs):
    """The options of a program, with the older of XLA's two emitters of fused loops and without threads.

    The older emitter is half of the work. Several threads that make the code of one program are a fifth more,
    and the other core runs tests already.

    No public setting does it for the programs of some files of tests: `jax.jit(compiler_options=…)` is of one
    function, while the library's stand in the library, and `XLA_FLAGS` is read once, for all files. Where the
    private function is gone, tests compile as users do (`has_haste`).
    """
    options = as_made(*args, **kwargs)
    options.env_option_overrides = [*options.env_option_overrides, *HASTE.items()]
    return options


def one_context(make):
    """A maker of MLIR contexts that gives each 200 times: making one is half of lowering a small program.

    A program that is lowered while another is gets a context of its own: in that of the other, jax would
    write it into the other program.
    """
    made, given = [], itertools.count()

    def context():
        if ir.Context.current is not None:
            return make()
        if next(given) % 200 == 0:
            made[:] = [make()]
        return made[0]

    return context


if hasattr(mlir, "make_ir_context"):  # where it is gone, tests take longer
    mlir.make_ir_context = one_context(mlir.make_ir_context)


def has_haste():
    """Whether this jax lets options of all programs be changed, and XLA has these; else tests take longer."""
    try:
        jax.jit(lambda x: x + 1).lower(1.0).compile(compiler_options=HASTE)
    except Exception:  # whatever another XLA says of an option that it doesn't know
        return False
    return as_made is not None


KNOWS_HASTE = has_haste()
if KNOWS_HASTE:  # from here on, so that what files compile while they are collected is made so too
    compiler.get_compile_options = quickly_made


kept_programs = {}


def keep_programs():
    """Keep what XLA makes, by the key under which jax would keep it in a file, and make nothing twice.

    A fifth of all programs of tests are those of another function or of another file, letter by letter. Files
    would do it too (`jax_compilation_cache_dir`), but most programs are small, and to write and read them
    takes as long as is saved.
    """

    def kept(key, *_):
        return kept_programs.get(key), 0

    def keep(key, name, program, *_):
        kept_programs[key] = program

    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    compilation_cache.get_executable_and_time = kept
    compilation_cache.put_executable_and_time = keep


if hasattr(compilation_cache, "put_executable_and_time"):  # where it is gone, tests take longer
    keep_programs()


@contextlib.contextmanager
def compiled_as_users_do():
    """Compile as users do, and forget what was compiled in haste before, and this afterwards."""
    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        jax.config.update("jax_disable_most_optimizations", False)
        patch.setattr(compiler, "get_compile_options", as_made, raising=False)
        yield
        jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()


@pytest.fixture
def as_users_do():
    """Compile as users do, for facts that depend on how programs round or on what they need of memory."""
    with compiled_as_users_do():
        yield


@pytest.fixture(autouse=True, scope="module")
def _programs_of_one_file(request):
    """Most files compile without most optimisations: compiling is most of their time.

    What a file traced is forgotten, and what it compiled too, long before the process has the 65,530 mappings
    of memory that it may have.
    """
    as_users_do = request.path.stem.removeprefix("test_") in AS_USERS_DO
    with compiled_as_users_do() if as_users_do else contextlib.nullcontext():
        yield
    jax.clear_caches()
    if num_mappings() > 20_000:
        kept_programs.clear()
    gc.collect()


def num_mappings():
    """How many mappings of memory this process has; more than any limit where the system does not say."""
    try:
        return pathlib.Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 10**9


def pytest_collection_finish():
    """Collect garbage seldom, and not among all that was imported: tracing makes much that lives for long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """With ENERGYAM_ROWS=n, run n rows of each table, or one in twenty, drawn by ENERGYAM_SEED; else all."""
    rows, seed = os.environ.get("ENERGYAM_ROWS"), os.environ.get("ENERGYAM_SEED", "0")
    if rows is None:
        return
    kept = sampled([item.nodeid for item in items], int(rows), seed)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = [item for item in items if item.nodeid in kept]


@pytest.fixture(autouse=True)
def _no_hook_for_wrong_use(request):
    """Files named test_wrong_use…, and tests that expect a `ValueError`, test our own messages."""
    expects_error = "pytest.raises(ValueError" in inspect.getsource(request.function)
    if request.path.name.startswith("test_wrong_use") or expects_error:
        request.getfixturevalue("no_hook")


def pytest_ignore_collect(collection_path):
    """Leave out the tests of the real SmolLM2 where `energyam lm fetch` has not brought it."""
    if collection_path.name != "test_lm_smollm2.py":
        return None
    from energyam.lm import find_smollm2  # not above: the type-checking hook must come before energyam

    return True if find_smollm2() is None else None
