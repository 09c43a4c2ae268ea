#!/usr/bin/env bash
# ruff, cython-lint, mypy --strict, basedpyright, shellcheck; and of the C: clang-format, cppcheck, gcc with its analyser.
# All of them run, and the exit status tells whether any complained.
#
#     scripts/lint.sh PYTHON
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$ROOT"
python=$(scripts/venv.sh "${1:-python3}" lint requirements/lint.txt)
bin=${python%/*}
PATH=$bin:$PATH # cython-lint calls pycodestyle
status=0
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
check() {
    say "-- $*"
    "$@" || status=1
}
mapfile -t pxds < <(find src -name '*.pxd' | sort)
mapfile -t headers < <(find src -name '*.h' | sort)

# Each header by itself, with all that is in it, used or not.
# shellcheck disable=SC2329  # `check` calls it
compile_headers() {
    local header
    command -v gcc >/dev/null || { say "there is no gcc, which reads the C: scripts/install_packages.sh gcc" && return 1; }
    [[ -e $include/Python.h ]] || { say "there is no $include/Python.h (on Debian: python3-dev)" && return 1; }
    for header in "${headers[@]}"; do
        gcc -x c -std=gnu11 -O1 -Wall -Wextra -Werror -Wno-unused-function -isystem "$include" \
            -fanalyzer -fkeep-static-functions -fkeep-inline-functions -c -o /dev/null "$header" || return 1
    done
}

check "$bin/ruff" check --quiet --output-format concise .
check "$bin/ruff" format --quiet --check --output-format concise .
[[ ${#pxds[@]} -eq 0 ]] || check "$bin/cython-lint" "${pxds[@]}"
check "$bin/clang-format" --dry-run -Werror "${headers[@]}" tests/portable.h tests/engine/checks.c
check "$bin/cppcheck" --quiet --std=c11 --language=c --enable=warning,performance,portability --library=python \
    --error-exitcode=1 '-DPy_TRASHCAN_BEGIN(o, end)=' '-DPy_TRASHCAN_END=' "${headers[@]}"
check compile_headers
check "$bin/mypy"
check "$bin/mypy" --config-file tests/typing/mypy.ini
check "$bin/basedpyright" --project tests/typing/pyright.json
check "$bin/shellcheck" --external-sources --source-path=scripts scripts/*.sh .ci/run
exit "$status"
