#!/usr/bin/env bash
# Runs every benchmark, one after the other; tables to standard output, JSON to OUTPUT_DIR.
#   bash benchmarks/run.sh [OUTPUT_DIR]        PYTHON=/path/to/python chooses the interpreter
# benchmarks.large_corpus takes long, and ten gigabytes of disk: it is run by itself.
# Wants an idle machine, and for the yardstick of the training step an environment with PyTorch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output="${1:-runs/benchmarks}"
for name in pieces train_step regularizers evaluate generate input startup; do
  "${PYTHON:-python}" -m "benchmarks.$name" --output="$output/$name.json"
done
