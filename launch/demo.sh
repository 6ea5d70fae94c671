#!/usr/bin/env bash
# From a bare checkout to a trained text WAE-RNF: sets up .venv where needed, trains on the
# built-in corpus, evaluates on its test split, shows samples, reconstructions and an interpolation,
# and draws the latent space. Run again, it goes on from what the work directory holds.
# Usage: bash launch/demo.sh [work directory; runs/demo unless given]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -le 1 ] || fail "expected at most one argument, the work directory; got $#."
workdir=${1:-runs/demo}
set_up
wae_rnf="$VENV/bin/wae-rnf"

step() {
  printf '\n== %s\n' "$*"
}

step "Training wae_rnf on the built-in corpus, in $workdir"
"$wae_rnf" train --config=configs/grammar/wae_rnf.py --workdir="$workdir"

step "Evaluating on the test split"
"$wae_rnf" evaluate --workdir="$workdir" --split=test --num_samples=100

step "Ten sentences from the prior"
"$wae_rnf" sample --workdir="$workdir" --num=10

step "Reconstructions of sentences of the test split: a short code keeps their kind, few of their words"
sentences="$workdir/sentences.txt"
"$VENV/bin/python" - "$workdir" >"$sentences" <<'EOP'
import sys

import wae_rnf_jax

print(*wae_rnf_jax.load_run(sys.argv[1]).split("test").sentences[:5], sep="\n")
EOP
"$wae_rnf" reconstruct --workdir="$workdir" --input="$sentences"

step "From one sentence to another, through the latent space"
ends=(--start="$(sed -n 1p "$sentences")" --end="$(sed -n 2p "$sentences")")
"$wae_rnf" interpolate --workdir="$workdir" "${ends[@]}"

step "The same way and the shortest one, in a picture of the curved latent space"
"$wae_rnf" geometry --workdir="$workdir" "${ends[@]}"

printf '\nDemo finished in %d s. Everything is in %s.\n' "$SECONDS" "$workdir"
printf 'Next: look at %s/geometry.png, or read docs/trained_run.ipynb, which uses this run.\n' "$workdir"
printf 'A model of newspaper sentences is there too:\n  %s sample --workdir=pretrained/ptb_wae_rnf\n' "$wae_rnf"
