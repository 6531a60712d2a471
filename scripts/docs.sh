#!/usr/bin/env bash
# The documentation site, into site/: warnings are errors, and so are links that lead nowhere.
#   bash scripts/docs.sh [FOLDER]     FOLDER holds mkdocs, .venv/bin unless given; pip install -e '.[docs]' brings it
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-.venv/bin}
NO_MKDOCS_2_WARNING=1 "$bin/python" -m mkdocs build --strict --quiet --site-dir site
echo "site/index.html: $(find site -name '*.html' | wc -l) pages"
