#!/usr/bin/env bash
# On a debug build of the interpreter, Debian's python3-dbg: are all references counted right?
#
#     scripts/refcounts.sh [--quick]
#
# Ten thousand rounds of each kind of object must leave as many references in the process as there were; and the tests of
# the engine run where the interpreter checks what its macros are given. --quick leaves the tests out: CI runs that.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$ROOT"
command -v python3-dbg >/dev/null || die "there is no python3-dbg: scripts/install_packages.sh python3-dbg python3-venv"
# Its environment has the same name as that of the release build.
python=$(CEDE_VENVS=${CEDE_VENVS:-.venv}/debug scripts/venv.sh python3-dbg test requirements/test.txt)
say "building for $("$python" -V), a debug build"
CEDE_CFLAGS=${CEDE_CFLAGS:--O1} CEDE_EXT=require "$python" setup.py --quiet build_ext --inplace

status=0
"$python" -m tests.rounds || status=1
if [[ ${1:-} != --quick ]]; then # what has a hundred thousand tasks takes minutes
    "$python" -m pytest -n "${CEDE_TEST_JOBS:-3}" --dist worksteal -o timeout=200 -m "not slow and not build" \
        -k "not chain_of_many and not many_sleepers" tests/engine || status=1
fi
exit "$status"
