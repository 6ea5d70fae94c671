#!/usr/bin/env bash
# Sets up .venv where needed, then runs the whole test suite, doctests included.
# Arguments go to pytest: bash launch/test.sh tests/functional -k mmd
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
set_up
# One process a core, four at most: each holds its own JAX, up to two gigabytes. A file stays in one
# process, which shares what its tests prepare; tests/conftest.py says which files come first.
exec "$VENV/bin/python" -m pytest -n logical --maxprocesses 4 --dist loadfile \
  --no-loadscope-reorder "$@"
