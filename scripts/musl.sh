#!/usr/bin/env bash
# Run the musllinux wheel of dist/ where it belongs: on a Python that is built on musl. Needs root, and Debian.
#
#     scripts/musl.sh                           make that Python if it is not there (some minutes), then scripts/smoke.py
#     scripts/musl.sh PYTEST-ARGUMENTS...       the same, then these tests: `scripts/musl.sh tests/engine tests/library`
#
# Debian has musl and a compiler for it, and no Python; so Python 3.13, which is in Debian 13, is built from Debian's
# sources, without what wants further libraries: no TLS, no ctypes, no sqlite3. It stands in $CEDE_MUSL_DIR (default
# /var/cache/cede/musl), and is kept. The machine's own Debian may be another; its sources of packages are left alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

VERSION=3.13
PLACE=${CEDE_MUSL_DIR:-/var/cache/cede/musl}
PYTHON=$PLACE/python/bin/python$VERSION

# `sources FOLDER PACKAGE...`: fetch and unpack what the packages are made of, as in Debian 13.
sources() {
    local folder=$1 options
    shift
    mkdir -p "$folder/lists/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) trixie main" >"$folder/list"
    options=(-qq -o "Dir::Etc::sourcelist=$folder/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/lists"
        -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    (cd "$folder" && apt-get "${options[@]}" source --download-only "$@" && for archive in *.orig.tar.*[z2]; do tar -xf "$archive"; done)
}

build() {
    local folder=$temporary/build prefix=$temporary/prefix
    say "building Python $VERSION on musl in $PLACE (some minutes)"
    mkdir -p "$folder" "$prefix/include" "$prefix/lib"
    # What Python asks of Linux itself, which Debian's musl-dev leaves out.
    ln -s /usr/include/linux /usr/include/asm-generic "$prefix/include"
    ln -s /usr/include/x86_64-linux-gnu/asm "$prefix/include/asm"
    # Debian's compiler would answer that it compiles for glibc.
    # shellcheck disable=SC2016  # they are that script's
    printf '#!/bin/sh\n[ "$1" = --print-multiarch ] && exit 1\nexec musl-gcc "$@"\n' >"$folder/cc"
    chmod +x "$folder/cc"
    sources "$folder" "python$VERSION" zlib
    (
        cd "$folder"/zlib-*
        CC=$folder/cc CFLAGS="-O2 -fPIC" ./configure --static
        make libz.a
        cp libz.a "$prefix/lib"
        cp zlib.h zconf.h "$prefix/include"
        cd "$folder"/Python-*
        CC=$folder/cc OPT="-O1 -DNDEBUG" PKG_CONFIG=false CPPFLAGS="-I$prefix/include" LDFLAGS="-L$prefix/lib" \
            ./configure -q --prefix="$PLACE/python" --disable-test-modules --without-ensurepip
        make -j"$(nproc)"
        make install DESTDIR="$folder/root"
    ) >"$PLACE/log" 2>&1 || {
        tail -n 30 "$PLACE/log" >&2
        die "Python could not be built; the log is $PLACE/log"
    }
    rm -rf "$PLACE/python"
    # Order: the folder gets its name last, so one that is half made is never taken for a whole one.
    mv "$folder/root$PLACE/python" "$PLACE/python.new"
    mv "$PLACE/python.new" "$PLACE/python"
}

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
mkdir -p "$PLACE"
exec 9>"$PLACE.lock"
flock 9
[[ -x $PYTHON ]] || {
    scripts/install_packages.sh gcc libc6-dev linux-libc-dev make musl-dev musl-tools
    build
}
exec 9>&-

# pip runs on this machine's Python and installs for that one: it asks it which wheels it takes.
outer=$(scripts/venv.sh python3 test requirements/test.txt)
wheel=$(echo dist/cede-*-cp${VERSION/./}-cp${VERSION/./}-musllinux*.whl)
[[ -e $wheel ]] || die "dist/ has no musllinux wheel for Python $VERSION: make wheels"
"$PYTHON" -m venv --without-pip "$temporary/venv"
"$outer" -m pip --python "$temporary/venv/bin/python" install -q --no-index --no-deps --find-links dist cede 2>/dev/null
mkdir "$temporary/empty"
cp scripts/smoke.py "$temporary/empty"
said=$(cd "$temporary/empty" && "$temporary/venv/bin/python" -I -W error smoke.py)
printf '%-58s %s\n' "${wheel##*/}" "$("$PYTHON" -V) on musl: $said"
[[ $said == "compiled "*"$temporary"* ]] || die "that is not the compiled cede of the wheel"

if [[ $# -gt 0 ]]; then
    # A copy without the sources: what is tested is what is installed.
    "$outer" -m pip install -q --target "$temporary/libraries" --platform musllinux_1_2_x86_64 --python-version "$VERSION" \
        --only-binary :all: -r <(grep -E '^(hypothesis|pytest|pytest-timeout|pytest-xdist)==' requirements/test.txt)
    cp -r tests pyproject.toml "$temporary/empty"
    cd "$temporary/empty"
    PYTHONPATH=$temporary/libraries "$temporary/venv/bin/python" -m pytest -q -n 2 "$@"
fi
