#!/usr/bin/env bash
# ruff, cython-lint, mypy --strict, basedpyright, shellcheck: all of them run, and the exit status tells whether any complained.
#
#     scripts/lint.sh PYTHON
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$ROOT"
python=$(scripts/venv.sh "${1:-python3}" lint requirements/lint.txt)
bin=${python%/*}
PATH=$bin:$PATH # cython-lint calls pycodestyle
status=0
check() {
    say "-- $*"
    "$@" || status=1
}
mapfile -t pxds < <(find src -name '*.pxd' | sort)

check "$bin/ruff" check --quiet --output-format concise .
check "$bin/ruff" format --quiet --check --output-format concise .
[[ ${#pxds[@]} -eq 0 ]] || check "$bin/cython-lint" "${pxds[@]}"
check "$bin/mypy"
check "$bin/mypy" --config-file tests/typing/mypy.ini
check "$bin/basedpyright" --project tests/typing/pyright.json
check "$bin/shellcheck" --external-sources --source-path=scripts scripts/*.sh .ci/run
exit "$status"
