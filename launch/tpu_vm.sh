#!/usr/bin/env bash
# Trains on a slice of Cloud TPU VMs. Usage: bash launch/tpu_vm.sh SUBCOMMAND
#
#   create [-- FLAG…]        makes the slice now; flags go to gcloud, such as -- --network=NAME
#   queue [-- FLAG…]         asks for it when there is room; `status` says how that stands
#   status                   state of the request, or of the slice
#   install                  copies this checkout to every worker and sets it up there
#   run --config=… --workdir=…   starts `wae-rnf train` on every worker; it outlives this terminal
#   logs                     follows the output of worker 0
#   stop                     SIGTERM: all save the same step, and the same `run` goes on from it
#   fetch WORKDIR FOLDER     copies a workdir, of worker 0 or on gs://, into a folder here
#   delete                   removes slice and request; a workdir on the slice goes with it
#
# Needs, in the environment: PROJECT, ZONE, TPU_NAME; for create and queue also ACCELERATOR_TYPE
# (v6e-16, say) and RUNTIME_VERSION (that of the accelerator, such as v2-alpha-tpuv6e); SPOT=1 for
# spot VMs, which may be taken away at any time. DRY_RUN=1 prints the commands and runs none.
#
# A spot slice that was taken away is deleted, made again, installed and run with the same arguments;
# it goes on where the workdir is, which should then be on gs://.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/cluster.sh

SUBCOMMANDS="create, queue, status, install, run, logs, stop, fetch, delete"
FOLDER=wae_rnf_jax # of the checkout, in the home folder on a worker

tpu_vm() {
  local verb=$1
  shift
  perform gcloud compute tpus tpu-vm "$verb" "$@" "--project=$PROJECT" "--zone=$ZONE"
}

queued_resources() {
  local verb=$1
  shift
  perform gcloud compute tpus queued-resources "$verb" "$TPU_NAME" "$@" \
    "--project=$PROJECT" "--zone=$ZONE"
}

# on_workers WHICH COMMAND
on_workers() {
  tpu_vm ssh "$TPU_NAME" "--worker=$1" "--command=$2"
}

# Sets `flags`: what create and queue have in common, and the flags of gcloud after `--`.
slice_flags() {
  required ACCELERATOR_TYPE RUNTIME_VERSION
  flags=("--accelerator-type=$ACCELERATOR_TYPE")
  case "${SPOT:-0}" in
    0) ;;
    1) flags+=(--spot) ;;
    *) refuse "SPOT is '$SPOT': it must be 0 or 1." ;;
  esac
  [ $# -eq 0 ] || [ "$1" = -- ] || refuse "unexpected argument '$1': flags of gcloud stand after --."
  shift $(($# > 0))
  flags+=("$@")
}

create() {
  slice_flags "$@"
  tpu_vm create "$TPU_NAME" "--version=$RUNTIME_VERSION" "${flags[@]}"
}

queue() {
  slice_flags "$@"
  queued_resources create "--node-id=$TPU_NAME" "--runtime-version=$RUNTIME_VERSION" --async \
    "${flags[@]}"
}

# A slice made by `create` has no request, and one that waits has no slice.
status() {
  if dry_run; then
    queued_resources describe "--format=value(state.state)"
    tpu_vm describe "$TPU_NAME" "--format=value(state)"
    return
  fi
  local state
  if state=$(queued_resources describe "--format=value(state.state)" 2>/dev/null); then
    echo "request: $state"
  fi
  if state=$(tpu_vm describe "$TPU_NAME" "--format=value(state)" 2>/dev/null); then
    echo "slice: $state"
  else
    echo "slice: none of the name $TPU_NAME can be seen in $ZONE"
  fi
}

# What a worker does; the images of TPU VMs may have an older Python than the package needs.
worker_setup() {
  cat <<END
set -e
mkdir -p $FOLDER
tar -xzf $FOLDER.tar.gz -C $FOLDER
cd $FOLDER
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  python3 -m pip install --user --quiet uv
  ~/.local/bin/uv python install --quiet 3.11
  PYTHON=\$(~/.local/bin/uv python find 3.11)
  export PYTHON
fi
bash launch/setup.sh
.venv/bin/python -m pip install --quiet --no-build-isolation --constraint requirements.txt \\
  --editable '.[tpu,gcs]'
END
}

install() {
  needs git tar
  local archive=$FOLDER.tar.gz
  packed=.
  if dry_run; then
    echo "git ls-files --cached --others --exclude-standard -z | tar -czf $archive --null -T -"
  else
    packed=$(mktemp -d)
    trap 'rm -rf "$packed"' EXIT
    # Tracked files as they are here, and new ones, but nothing that .gitignore names.
    git ls-files --cached --others --exclude-standard -z |
      tar -czf "$packed/$archive" --null -T -
  fi
  tpu_vm scp "$packed/$archive" "$TPU_NAME:" --worker=all
  on_workers all "$(worker_setup)"
}

# Started apart from the connection, so that losing it stops nothing.
run() {
  training_arguments "$@"
  local command
  command=$(quoted .venv/bin/wae-rnf train --distributed "$@")
  on_workers all "cd $FOLDER || exit 1
if [ -f run.pid ] && kill -0 \"\$(cat run.pid)\" 2>/dev/null; then
  echo 'a run is going on here: stop it first' >&2
  exit 2
fi
setsid nohup sh -c $(quoted "echo \$\$ >run.pid; exec $command") >run.log 2>&1 </dev/null &"
}

logs() {
  on_workers 0 "tail -n 100 -F $FOLDER/run.log"
}

stop() {
  local pid="\$(cat $FOLDER/run.pid)"
  on_workers all "kill -TERM \"$pid\" && tail --pid=\"$pid\" -f /dev/null"
}

fetch() {
  [ $# -eq 2 ] || refuse "fetch takes a workdir and a folder here; got $# arguments."
  local folder=$2
  case "$1" in gs://*) folder=$2/$(basename "$1") ;; esac
  dry_run || mkdir -p "$folder" || refuse "$folder cannot be made: name another folder."
  case "$1" in
    gs://*) perform gcloud storage rsync --recursive "${1%/}" "$folder" ;;
    /*) tpu_vm scp --recurse "$TPU_NAME:$1" "$2" --worker=0 ;;
    *) tpu_vm scp --recurse "$TPU_NAME:$FOLDER/$1" "$2" --worker=0 ;;
  esac
}

# `--force` takes the slice with the request; a slice made by `create` has no request.
delete() {
  if dry_run; then
    queued_resources delete --force --quiet
    echo "# or, where it was made by create:"
    tpu_vm delete "$TPU_NAME" --quiet
  elif queued_resources describe "--format=value(name)" >/dev/null 2>&1; then
    queued_resources delete --force --quiet
  else
    tpu_vm delete "$TPU_NAME" --quiet
  fi
}

[ $# -ge 1 ] || refuse "no subcommand: give one of $SUBCOMMANDS."
subcommand=$1
shift
case "$subcommand" in
  create | queue | install | run | fetch) ;;
  status | logs | stop | delete)
    [ $# -eq 0 ] || refuse "$subcommand takes no arguments; got '$1'."
    ;;
  *) refuse "unknown subcommand '$subcommand': give one of $SUBCOMMANDS." ;;
esac
[ "$subcommand" != install ] || [ $# -eq 0 ] || refuse "install takes no arguments; got '$1'."
required PROJECT ZONE TPU_NAME
needs gcloud
"$subcommand" "$@"
