#!/usr/bin/env bash
# What must hold before a release; says each thing that does not, and exits with 1 then.
#
#     scripts/release_check.sh [--musl] [VERSION...]    with the wheels of dist/ (`make wheels`), on all Pythons or on these
#
# The compiled manylinux wheel and the plain one are installed into empty environments and run scripts/smoke.py in an empty
# folder. What the musllinux wheels need is checked when they are built (scripts/wheels.py); with --musl those that can be are
# run, with a part of the suite (scripts/musl.sh).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

status=0
complain() {
    say "NOT READY: $*"
    status=1
}

# `smoke PYTHON WHEEL SPEED`: install one wheel and nothing else, run it far from the sources.
smoke() {
    local folder said
    folder=$(mktemp -d)
    mkdir "$folder/empty"
    cp scripts/smoke.py "$folder/empty"
    "$1" -m venv "$folder/venv" && "$folder/venv/bin/pip" install -q --no-index --no-deps "$2"
    said=$(cd "$folder/empty" && "$folder/venv/bin/python" -I -W error smoke.py) || said=failed
    rm -rf "$folder"
    printf '%-58s %s\n' "${2##*/}" "$("$1" -V): $said"
    [[ $said == "$3 "*"$folder"* ]] || complain "${2##*/} on $("$1" -V): $said"
}

if [[ ${1:-} == --here ]]; then
    python=$(find_python "$2")
    tag=cp${2//./}
    smoke "$python" "$(echo dist/cede-*-"$tag-$tag"-manylinux*.whl)" compiled
    smoke "$python" "$(echo dist/cede-*-py3-none-any.whl)" plain
    [[ -e $(echo dist/cede-*-"$tag-$tag"-musllinux*.whl) ]] || complain "no musllinux wheel for $2"
    exit "$status"
fi

musl=no
if [[ ${1:-} == --musl ]]; then
    musl=yes
    shift
fi

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/cede/_version.py)
say "cede $version"
[[ -z $(git status --porcelain) ]] || complain "there are changes that are not committed"
grep -q "^## $version" CHANGELOG.md || complain "CHANGELOG.md has no section $version"
[[ -z $(git tag --list "v$version") ]] || complain "the tag v$version exists: raise the version in src/cede/_version.py"
[[ -e dist/cede-$version.tar.gz ]] || complain "dist/ has no sdist of $version: make wheels"

# The sdist that is built now is the one of dist/, byte for byte.
kept=$(mktemp -d)
cp dist/* "$kept"
"$(scripts/venv.sh python3 wheels requirements/wheels.txt)" scripts/wheels.py sdist >/dev/null
for made in dist/*; do
    cmp -s "$made" "$kept/${made##*/}" || complain "$made is not what the sources make"
done
cp "$kept"/* dist/
rm -rf "$kept"

[[ $# -gt 0 ]] || set -- 3.11 3.12 3.13 3.14 3.15
for version in "$@"; do
    if find_python "$version" >/dev/null; then
        scripts/release_check.sh --here "$version" || status=1
    else
        scripts/provision_sid.sh scripts/release_check.sh --here "$version" || status=1
    fi
done
if [[ $musl == yes ]]; then
    for version in $(scripts/musl.sh --versions); do
        scripts/musl.sh "$version" tests/engine tests/library tests/io tests/net || complain "the musllinux wheel of $version"
    done
else
    say "not run: the musllinux wheels (--musl)"
fi
[[ $status == 0 ]] && say "ready"
exit "$status"
