#!/usr/bin/env bash
# Build what is published, into dist/: the sdist, the wheel in plain Python, and the compiled wheels (manylinux and musllinux,
# x86-64) of every Python that cede supports. How: scripts/wheels.py.
#
#     scripts/wheels.sh [VERSION...]      all of it, or the compiled wheels of these Pythons beside what is there
#     scripts/wheels.sh --here VERSION    the compiled wheels of a Python of this machine
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

# `build PYTHON WHAT`
build() {
    "$(scripts/venv.sh "$1" wheels requirements/wheels.txt)" scripts/wheels.py "$2"
}

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
if [[ ${1:-} == --here ]]; then
    build "$(find_python "$2")" wheels
    exit
fi
if [[ $# == 0 ]]; then
    build python3 sdist
    set -- 3.11 3.12 3.13 3.14 3.15
fi
for version in "$@"; do
    if find_python "$version" >/dev/null; then
        scripts/wheels.sh --here "$version"
    else
        scripts/provision_sid.sh scripts/wheels.sh --here "$version"
    fi
done
