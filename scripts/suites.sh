#!/usr/bin/env bash
# Run other people's whole test suites on cede: fetch and install what they are and need, build cede, start the services.
#
#     scripts/suites.sh PYTHON [ARGUMENTS...]        those of `python -m tests.suites`
#
# PYTHON is a version such as 3.13, a command or a path. The libraries are those of requirements/suites.txt; their tests
# come from their source distributions, which are kept under .cache/suites/. PostgreSQL and Redis are started here unless
# CEDE_TEST_POSTGRES or CEDE_TEST_REDIS say where they run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ $# -ge 1 ]] || die "usage: scripts/suites.sh PYTHON [ARGUMENTS...]"
python=$1
shift
if [[ $python =~ ^[0-9]+\.[0-9]+$ ]]; then
    python=$(find_python "$python") || die "no Python $python: neither python$python in PATH nor one of pyenv's"
fi
cd "$ROOT"
python=$(scripts/venv.sh "$python" suites requirements/suites.txt)
say "building for $("$python" -V)"
CEDE_EXT=require "$python" setup.py --quiet build_ext --inplace >&2

if [[ -z ${CEDE_TEST_POSTGRES:-}${CEDE_TEST_REDIS:-} ]]; then
    services=$(mktemp -d "${TMPDIR:-/tmp}/cede-services.XXXXXX")
    trap 'scripts/services.sh stop "$services"' EXIT
    eval "$(scripts/services.sh start "$services")"
fi
"$python" -m tests.suites "$@"
