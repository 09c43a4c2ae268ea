#!/usr/bin/env bash
# Run the test suite on one interpreter, in one speed or in both; build first what "compiled" needs.
#
#     scripts/suite.sh [--once-elsewhere] PYTHON SPEED... [-- PYTEST-ARGUMENTS...]
#
# PYTHON is a command, a path, or a version such as 3.12, which is looked for in PATH and among pyenv's.
# SPEED is `compiled` or `pure`. The tests that build and install the package run in the first speed only, and with
# --once-elsewhere not at all: one interpreter may run them for all. Every speed runs even if an earlier one failed;
# the exit status tells whether any did. A run that collects no test counts as failed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options=()
if [[ ${1:-} == --once-elsewhere ]]; then
    options+=(-m "not build")
    shift
fi
[[ $# -ge 2 ]] || die "usage: scripts/suite.sh [--once-elsewhere] PYTHON SPEED... [-- PYTEST-ARGUMENTS...]"
python=$1
shift
if [[ $python =~ ^[0-9]+\.[0-9]+$ ]]; then
    version=$python
    python=$(find_python "$version") || die "no Python $version: neither python$version in PATH nor one of pyenv's"
fi
speeds=()
while [[ $# -gt 0 && $1 != -- ]]; do
    speeds+=("$1")
    shift
done
[[ ${1:-} == -- ]] && shift

cd "$ROOT"
venv_python=$(scripts/venv.sh "$python" test requirements/test.txt --optional requirements/programs.txt)

status=0
for speed in "${speeds[@]}"; do
    case $speed in
    compiled)
        say "building for $("$venv_python" -V)"
        CEDE_EXT=require "$venv_python" setup.py --quiet build_ext --inplace >&2 || {
            status=1
            continue
        }
        pure=()
        ;;
    pure) pure=(--pure) ;;
    *) die "unknown speed: $speed (compiled or pure)" ;;
    esac
    printf '\n######## %s, %s\n' "$("$venv_python" -V)" "$speed"
    "$venv_python" -m pytest -n "${CEDE_TEST_JOBS:-2}" "${pure[@]}" "${options[@]}" "$@" || status=1
    options=(-m "not build")
done
exit "$status"
