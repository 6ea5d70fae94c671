# shellcheck shell=bash
# Sourced by the cluster launchers: misuse in one sentence, and dry runs.

# Bad usage: one sentence on standard error, exit code 2, as of the command wae-rnf itself.
refuse() {
  echo "${0##*/}: $*" >&2
  exit 2
}

# required NAME…: each variable must be set in the environment.
required() {
  local name
  for name; do
    [ -n "${!name:-}" ] || refuse "the variable $name is not set; see the head of $0."
  done
}

dry_run() {
  case "${DRY_RUN:-0}" in
    0) return 1 ;;
    1) return 0 ;;
    *) refuse "DRY_RUN is '$DRY_RUN': it must be 0 or 1." ;;
  esac
}

# needs PROGRAM…: on the PATH, but in a dry run, which starts nothing.
needs() {
  local program
  dry_run && return
  for program; do
    command -v "$program" >/dev/null || refuse "$program is not on the PATH; install it first."
  done
}

# The arguments as one line that a shell reads as the same arguments.
quoted() {
  local word words=()
  for word; do
    case "$word" in
      '' | *[!A-Za-z0-9_@%+=:,./-]*) words+=("'${word//\'/\'\\\'\'}'") ;;
      *) words+=("$word") ;;
    esac
  done
  echo "${words[*]}"
}

# Runs a command, or prints it in a dry run.
perform() {
  if dry_run; then
    quoted "$@"
  else
    "$@"
  fi
}

# training_arguments ARGUMENT…: those of `wae-rnf train`, which must name config and workdir.
training_arguments() {
  local needed argument
  for needed in --config= --workdir=; do
    for argument; do
      case "$argument" in "$needed"?*) continue 2 ;; esac
    done
    refuse "${needed}… is missing: give the arguments of wae-rnf train, such as" \
      "--config=configs/grammar/wae_rnf.py --workdir=runs/grammar/wae_rnf"
  done
}
