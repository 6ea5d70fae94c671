# shellcheck shell=bash
# Sourced by the other launch scripts: goes to the checkout's root and offers `set_up`, which
# makes .venv there and installs the pinned requirements and the package itself, once.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"
STAMP="$VENV/wae_rnf_setup"
cd "$ROOT" || exit 1

# Packages are installed without compiling every module; the modules in use are compiled when they
# are first imported, and only where Python may write that down do later starts gain from it.
unset PYTHONDONTWRITEBYTECODE

fail() {
  echo "error: $*" >&2
  exit 1
}

# A name on the PATH is not enough: version managers leave stubs that exist and do not run, and
# some systems ship Python without the venv module.
suitable_python() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    suitable_python "$PYTHON" ||
      fail "PYTHON=$PYTHON is not a working Python 3.11 or newer with the venv module."
    echo "$PYTHON"
    return
  fi
  local candidate
  for candidate in python3.13 python3.12 python3.11 python3 python; do
    if suitable_python "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or newer with the venv module was found;" \
    "install one, or name it: PYTHON=/path/to/python bash launch/test.sh"
}

# Everything that decides what an installation holds, and where it points to.
wanted_setup() {
  echo "$ROOT $(cat requirements.txt pyproject.toml | cksum)"
}

set_up() {
  local wanted
  wanted=$(wanted_setup)
  if [ "$(cat "$STAMP" 2>/dev/null)" = "$wanted" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
    return
  fi
  local python started=$SECONDS
  python=$(find_python) || exit 1
  echo "Setting up $VENV with $("$python" --version); this downloads the packages, once."
  # What an interrupted or outdated set-up left behind goes; an environment that these scripts
  # did not make is not theirs to clear.
  if [ -e "$VENV" ] && [ ! -e "$STAMP" ]; then
    fail "$VENV exists and was not made by these scripts; move it away and run this again."
  fi
  rm -rf "$VENV"
  mkdir -p "$VENV"
  echo "incomplete" >"$STAMP"
  "$python" -m venv "$VENV" || fail "$python could not make the virtual environment $VENV."
  local pip=("$VENV/bin/python" -m pip --disable-pip-version-check --no-input --quiet)
  "${pip[@]}" install --no-compile --requirement requirements.txt ||
    fail "pip could not install requirements.txt; its own message stands above."
  "${pip[@]}" install --no-deps --no-build-isolation --editable . ||
    fail "pip could not install the package itself; its own message stands above."
  echo "$wanted" >"$STAMP"
  echo "Set-up finished in $((SECONDS - started)) s."
}
