#!/usr/bin/env bash
# Everything that must hold, on a fresh machine: virtual environment, install, lint, types, site, tests, tutorials.
#   bash scripts/check.sh          what a change must pass: one row in twenty of each table of tests, and at least
#                                  one, drawn by the number of commits: the next change is tested by others
#   bash scripts/check.sh full     every row, and the jobs that only a full run does
#   bash scripts/check.sh quick    while working: lint, types, and one row of each table of the tests named below;
#                                  it keeps its environment for the next time
#   ENERGYAM_SEED=7 bash scripts/check.sh      the rows of another seed
#   PYTHON=python3.12 bash scripts/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-plain}
case "$mode" in
    quick | plain) export ENERGYAM_ROWS=1 ;;
    full) export ENERGYAM_FULL=1 ;;
    *) echo "usage: scripts/check.sh [quick|full]; got $mode" >&2; exit 2 ;;
esac
export ENERGYAM_SEED=${ENERGYAM_SEED:-$(git rev-list --count HEAD 2> /dev/null || echo 0)}
export MPLBACKEND=Agg ENERGYAM_FAST=1 PIP_DISABLE_PIP_VERSION_CHECK=1
venv=.venv-check
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
finish() {  # wait for a process, show what it wrote, and fail where it failed
    local failed=0
    wait "$1" || failed=$?
    cat "$2"
    return "$failed"
}

# A new pip resolves faster, and without --no-compile it would compile every module, also those that nobody imports.
pip() { "$venv/bin/python" -m pip --python "$1/bin/python" install --quiet --no-compile "${@:2}"; }

step "install"
bin=$PWD/$venv/bin
if [ "$mode" != quick ] || [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    pip "$venv" --upgrade pip
fi
if [ "$mode" != quick ]; then  # the other environment is made meanwhile
    "${PYTHON:-python3}" -m venv --clear --without-pip "$venv-oldest"
    pip "$venv-oldest" 'jax==0.7.2' 'jaxlib==0.7.2' equinox optax einops jaxtyping \
        'beartype>=0.19' 'pytest>=8' 'pytest-xdist>=3.6' &
    oldest=$!
fi
pip "$venv" --editable '.[test,docs]'
export PYTHONWARNINGS=default  # from here on: pip would warn of its own

if [ "$mode" != quick ]; then  # the site takes one core, and types the other
    bash scripts/docs.sh "$bin" > "$venv/site.log" 2>&1 &
    site=$!
fi
step "lint and types"
"$bin/ruff" check
"$bin/ruff" format --check
"$bin/mypy"

if [ "$mode" = quick ]; then
    step "tests of the core, with ENERGYAM_SEED=$ENERGYAM_SEED"
    "$bin/python" -m pytest -n 2 --dist loadfile tests/test_wrong_use*.py \
        tests/test_{associator,asynchronous,boltzmann,capacity,compilations,examples,files,flips,house_rules}.py \
        tests/test_{hypercube,learning,names_in_prose,nearest,noise,packaging,partition,public_names,reads}.py \
        tests/test_{retrieved,saving,sending,separations,shown,status,synchronous,training}.py
    step "all well"
    exit
fi

step "the site, warnings being errors"
finish "$site" "$venv/site.log"

step "a small language model for the tests that want a real one"
"$bin/energyam" lm fetch || echo "not fetched: those tests use the tiny models alone"

step "tests, with ENERGYAM_SEED=$ENERGYAM_SEED"
"$bin/python" -m pytest -n 2 --dist loadfile --durations 15

step "tutorials, at small sizes"
if [ "$mode" = plain ]; then  # most of their time is compiling, so compile in haste, as most tests do
    export JAX_DISABLE_MOST_OPTIMIZATIONS=1
    haste='--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1'  # as in tests/conftest.py
    # An XLA that doesn't know a flag stops.
    if XLA_FLAGS=$haste "$bin/python" -c "import jax; jax.numpy.ones(1)" 2> /dev/null; then export XLA_FLAGS=$haste; fi
fi
"$bin/python" -m pytest -n 2 --dist worksteal -p no:cacheprovider --override-ini addopts= \
    --override-ini filterwarnings= --nbmake --nbmake-timeout 600 tutorials

step "the core on the oldest supported jax"
unset JAX_DISABLE_MOST_OPTIMIZATIONS XLA_FLAGS
wait "$oldest"
PYTHONWARNINGS= pip "$venv-oldest" --editable . 'jax==0.7.2' 'jaxlib==0.7.2'
"$venv-oldest/bin/python" -m pytest -n 2 tests/test_separations.py tests/test_asynchronous.py \
    tests/test_synchronous.py tests/test_saving.py tests/test_platforms.py \
    tests/test_learning.py tests/test_associator.py tests/test_status.py
if [ "$mode" = full ]; then
    step "what an sdist installs, out of reach of the sources"
    away=$(mktemp -d)
    "$bin/python" -m hatchling build --target sdist --directory "$away"
    PYTHONWARNINGS= pip "$venv" --no-deps --no-build-isolation --force-reinstall "$away"/*.tar.gz
    cp -r README.md docs benchmarks tests pyproject.toml "$away"
    (cd "$away" && ENERGYAM_ROWS=1 "$bin/python" -m pytest -n 2 -k 'not architecture' tests/test_readme.py \
        tests/test_saving.py tests/test_saved_by_0_2.py tests/test_datasets.py tests/test_cli.py \
        tests/test_plotting.py tests/test_store.py)
    rm -rf "$away"
fi
rm -rf "$venv" "$venv-oldest"
step "all well"
