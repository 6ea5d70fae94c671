#!/usr/bin/env bash
# Sets up .venv, where the commands `wae-rnf`, `python` and the others then are:
# bash launch/setup.sh && source .venv/bin/activate
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
set_up
echo "Ready: source .venv/bin/activate"
