#!/usr/bin/env bash
# Make a virtual environment, or bring it up to date, and print the path of its interpreter.
#
#     scripts/venv.sh PYTHON NAME REQUIREMENTS... [--optional REQUIREMENTS...]
#
# What is optional is left out, with a line that says so, where it cannot be installed.
# PYTHON is a command or path; the environment is .venv/NAME-<tag of that Python> (CEDE_VENVS names another folder
# than .venv). cede itself is installed in it as an editable package, not compiled: `setup.py build_ext --inplace`
# does that. Nothing happens when neither the requirements nor the interpreter have changed since the last time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ $# -ge 2 ]] || die "usage: scripts/venv.sh PYTHON NAME REQUIREMENTS..."
python=$(resolve_python "$1") || die "$1 is not a Python that runs"
name=$2
shift 2
requirements=()
optional=()
while [[ $# -gt 0 ]]; do
    if [[ $1 == --optional ]]; then
        shift
        optional=("$@")
        break
    fi
    requirements+=("$1")
    shift
done
cd "$ROOT"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "cede needs Python 3.11 or newer; $python is $(version_of "$python")"
tag=$("$python" -c 'import sys; print(sys.implementation.cache_tag)')
venv=${CEDE_VENVS:-$ROOT/.venv}/$name-$tag
made_by=$("$python" -c 'import sys; print(sys.executable, sys.version, sys.argv[1])' "$ROOT")
stamp=$made_by$(cat requirements/build.txt "${requirements[@]}" "${optional[@]}")

mkdir -p "${venv%/*}"
exec 9>"$venv.lock"
flock 9

make_venv() {
    rm -rf "$venv"
    "$python" -m venv "$venv" >"$venv.log" 2>&1 && return
    # Some systems ship venv without ensurepip: let a pip from outside do the installing.
    rm -rf "$venv"
    if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip "$venv" >>"$venv.log" 2>&1; then
        "$python" -m pip --python "$venv/bin/python" install -qq pip >>"$venv.log" 2>&1 && return
    fi
    rm -rf "$venv"
    "$python" -m virtualenv --quiet "$venv" >>"$venv.log" 2>&1 && return
    cat "$venv.log" >&2
    die "$python can make no virtual environment: it needs its venv and pip modules (on Debian: python3-venv)"
}

if [[ ! -e $venv/stamp || $(cat "$venv/stamp") != "$stamp" ]]; then
    say "making ${venv#"$ROOT"/} for $("$python" -V)"
    [[ -x $venv/bin/python && $(cat "$venv/made-by" 2>/dev/null) == "$made_by" ]] || make_venv
    printf '%s\n' "$made_by" >"$venv/made-by"
    files=()
    for file in "${requirements[@]}"; do
        files+=(-r "$file")
    done
    if [[ ${#files[@]} -gt 0 ]]; then
        "$venv/bin/python" -m pip install -qq "${files[@]}" >&2
    fi
    for file in "${optional[@]}"; do
        "$venv/bin/python" -m pip install -qq -r "$file" >"$venv.log" 2>&1 ||
            say "left out, for $("$python" -V) has not all of it: $file (see $venv.log)"
    done
    # What can build cede is to run it. (Lint and docs only read the sources.)
    if [[ "${requirements[*]}" == *build.txt* ]] || grep -q 'build\.txt' "${requirements[@]}"; then
        CEDE_EXT=off "$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable . >&2
    fi
    printf '%s' "$stamp" >"$venv/stamp"
fi
echo "$venv/bin/python"
