#!/usr/bin/env bash
# Everything that must hold, on a fresh machine: virtual environment, install, lint, types, site, tests, tutorials.
#   bash scripts/check.sh          all of it
#   PYTHON=python3.12 bash scripts/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export MPLBACKEND=Agg ENERGYAM_FAST=1 PIP_DISABLE_PIP_VERSION_CHECK=1
venv=.venv-check
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "install"
"${PYTHON:-python3}" -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --editable '.[test,docs]'
bin=$PWD/$venv/bin
export PYTHONWARNINGS=default  # from here on: pip would warn of its own

step "lint and types"
"$bin/ruff" check
"$bin/ruff" format --check
"$bin/mypy"

step "the site, warnings being errors"
bash scripts/docs.sh "$bin"

step "a small language model for the tests that want a real one"
"$bin/energyam" lm fetch || echo "not fetched: those tests use the tiny models alone"

step "tests"
"$bin/python" -m pytest -n 2 --dist loadfile --durations 15

step "tutorials, at small sizes"
"$bin/python" -m pytest -n 2 -p no:cacheprovider --override-ini addopts= --override-ini filterwarnings= \
    --nbmake --nbmake-timeout 600 tutorials

step "the core on the oldest supported jax"
"${PYTHON:-python3}" -m venv --clear "$venv-oldest"
PYTHONWARNINGS= "$venv-oldest/bin/pip" install --quiet --editable . 'jax==0.7.2' 'jaxlib==0.7.2' \
    'beartype>=0.19' 'pytest>=8' 'pytest-xdist>=3.6'
"$venv-oldest/bin/python" -m pytest -n 2 tests/test_separations.py tests/test_asynchronous.py \
    tests/test_synchronous.py tests/test_saving.py tests/test_platforms.py \
    tests/test_learning.py tests/test_associator.py tests/test_status.py
rm -rf "$venv" "$venv-oldest"
step "all well"
