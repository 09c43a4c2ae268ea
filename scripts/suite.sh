#!/usr/bin/env bash
# Run the test suite on one interpreter, in one speed or in both; build first what "compiled" needs.
#
#     scripts/suite.sh [--once-elsewhere | --between | --programs | --applications] PYTHON SPEED... [-- PYTEST-ARGUMENTS...]
#
# PYTHON is a command, a path, or a version such as 3.12, which is looked for in PATH and among pyenv's.
# SPEED is `compiled` or `pure`. The tests that build and install the package run in the first speed only, and with
# --once-elsewhere not at all: one interpreter may run them for all. With --between, for the three between the oldest and
# the newest, the second speed also leaves out what is slow, and each other test runs on one of the three. Every speed
# runs even if an earlier one failed; the exit status tells whether any did. A run that collects no test counts as failed.
# Three processes share the tests, for many wait for other programs; CEDE_TEST_JOBS is another number. What failed beside
# others, a few tests at most, runs again by itself: scripts/again.py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

environment=(test requirements/test.txt --optional requirements/programs.txt)
options=(-m "not programs and not applications")
later=(-m "not build and not programs and not applications")
plugins=()
case ${1:-} in
--once-elsewhere)
    options=("${later[@]}")
    shift
    ;;
--between)
    options=("${later[@]}")
    later=(-m "not build and not slow and not programs and not applications" --share)
    shift
    ;;
--programs)
    environment=(programs requirements/test.txt requirements/programs.txt requirements/programs-more.txt)
    plugins=(-p no:asyncio) # those of pytest's that are among the libraries are tested, not used
    options=(-m programs --dist loadfile tests/programs)
    later=(-m "programs(pure=True)" --dist loadfile tests/programs)
    shift
    ;;
--applications)
    environment=(applications requirements/test.txt requirements/applications.txt)
    plugins=(-p no:asyncio)
    options=(-m applications tests/programs/test_applications.py)
    later=("${options[@]}")
    shift
    ;;
esac
[[ $# -ge 2 ]] || die "usage: scripts/suite.sh [--once-elsewhere | --between | --programs | --applications] PYTHON SPEED... [-- PYTEST-ARGUMENTS...]"
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
venv_python=$(scripts/venv.sh "$python" "${environment[@]}")

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
    pytest=("$venv_python" -m pytest "${plugins[@]}" "${pure[@]}")
    cache=$(mktemp -d "${TMPDIR:-/tmp}/cede-test-cache.XXXXXX")
    "${pytest[@]}" -n "${CEDE_TEST_JOBS:-3}" --dist worksteal -o cache_dir="$cache" "${options[@]}" "$@" ||
        "$venv_python" scripts/again.py "$cache" "${pytest[@]}" || status=1
    rm -rf "$cache"
    options=("${later[@]}")
done
exit "$status"
