#!/usr/bin/env bash
# Run a musllinux wheel of dist/ where it belongs: on a Python that is built on musl. Needs root, and Debian.
#
#     scripts/musl.sh VERSION                       make that Python if it is not there (some minutes), then scripts/smoke.py
#     scripts/musl.sh --versions                    say of which versions it can make one
#     scripts/musl.sh VERSION PYTEST-ARGUMENTS...   the same, then these tests: `scripts/musl.sh 3.13 tests/engine tests/library`
#
# Debian has musl and a compiler for it, and no Python; so that Python is built from the sources of the Debian that has it, with
# zlib and OpenSSL in it and no other library: no ctypes, no sqlite3. No Debian has Python 3.12. All stands in $CEDE_MUSL_DIR
# (default /var/cache/cede/musl), and is kept. The machine's own Debian may be another; its sources of packages are left alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

declare -A DEBIAN=([3.11]=bookworm [3.13]=trixie)
VERSIONS=$(printf '%s\n' "${!DEBIAN[@]}" | sort | xargs)
VERSION=${1:-}
if [[ $VERSION == --versions ]]; then
    echo "$VERSIONS"
    exit
fi
[[ -n $VERSION && -n ${DEBIAN[$VERSION]:-} ]] || die "which Python? One of: $VERSIONS"
shift
PLACE=${CEDE_MUSL_DIR:-/var/cache/cede/musl}
LIBRARIES=$PLACE/libraries
PYTHON=$PLACE/python$VERSION/bin/python$VERSION

# `sources DEBIAN FOLDER PACKAGE...`: fetch and unpack what the packages are made of, as in that Debian.
sources() {
    local debian=$1 folder=$2 options
    shift 2
    mkdir -p "$folder/lists/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $debian main" >"$folder/list"
    options=(-qq -o "Dir::Etc::sourcelist=$folder/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/lists"
        -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    (cd "$folder" && apt-get "${options[@]}" source --download-only "$@" && for archive in *.orig.tar.*[z2]; do tar -xf "$archive"; done)
}

# `attempt NAME COMMAND...`: run it with its output in a log, and show the end of that if it fails.
attempt() {
    local log=$PLACE/$1.log
    shift
    # In a shell of its own: `set -e` is off in a condition.
    ("$@") >"$log" 2>&1 &
    wait $! || {
        tail -n 30 "$log" >&2
        die "that failed; the log is $log"
    }
}

# `keep WHAT`: what was installed for $PLACE/WHAT goes there. It gets its name last, so one that is half made is never taken
# for a whole one.
keep() {
    rm -rf "${PLACE:?}/$1" "$PLACE/$1.new"
    mv "$temporary/root$PLACE/$1" "$PLACE/$1.new"
    mv "$PLACE/$1.new" "$PLACE/$1"
}

# musl's compiler: nobody may answer that this machine's headers are in Debian's places, and Debian's musl-dev leaves out what
# asks Linux itself.
make_compiler() {
    mkdir -p "$temporary/headers" "$temporary/bin"
    ln -s /usr/include/linux /usr/include/asm-generic "$temporary/headers"
    ln -s /usr/include/x86_64-linux-gnu/asm "$temporary/headers/asm"
    # shellcheck disable=SC2016  # they are that script's
    printf '#!/bin/sh\ncase $1 in *-print-multiarch) exit 1 ;; esac\nexec musl-gcc -idirafter %s "$@"\n' "$temporary/headers" \
        >"$temporary/bin/cc"
    printf '#!/bin/sh\nexit 1\n' >"$temporary/bin/dpkg-architecture" # setup.py of 3.11 asks it
    chmod +x "$temporary"/bin/*
    PATH=$temporary/bin:$PATH
}

build_libraries() {
    sources bookworm "$temporary/libraries" zlib openssl # what is newer is now and then listed before it is served
    cd "$temporary"/libraries/zlib-*
    CC=$temporary/bin/cc CFLAGS="-O2 -fPIC" ./configure --static --prefix="$LIBRARIES"
    make -j"$(nproc)" libz.a
    make install DESTDIR="$temporary/root"
    cd "$temporary"/libraries/openssl-*
    # no-async: musl has no contexts to switch between.
    CC=$temporary/bin/cc ./Configure linux-x86_64 no-shared no-tests no-module no-async -fPIC -O1 --prefix="$LIBRARIES" --libdir=lib
    make -j"$(nproc)" build_libs
    make install_dev DESTDIR="$temporary/root"
    keep libraries
}

build_python() {
    sources "${DEBIAN[$VERSION]}" "$temporary/python" "python$VERSION"
    cd "$temporary"/python/Python-*
    CC=$temporary/bin/cc OPT="-O1 -DNDEBUG" PKG_CONFIG=false CPPFLAGS="-I$LIBRARIES/include" LDFLAGS="-L$LIBRARIES/lib" \
        ./configure -q --prefix="$PLACE/python$VERSION" --disable-test-modules --without-ensurepip --with-openssl="$LIBRARIES"
    make -j"$(nproc)"
    make install DESTDIR="$temporary/root"
    keep "python$VERSION"
}

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
mkdir -p "$PLACE"
exec 9>"$PLACE.lock"
flock 9
if [[ ! -x $PYTHON ]]; then
    scripts/install_packages.sh gcc libc6-dev linux-libc-dev make musl-dev musl-tools perl
    make_compiler
    [[ -d $LIBRARIES ]] || {
        say "building zlib and OpenSSL on musl in $LIBRARIES (some minutes)"
        attempt libraries build_libraries
    }
    say "building Python $VERSION on musl in ${PYTHON%/bin/*} (some minutes)"
    attempt "python$VERSION" build_python
fi
exec 9>&-

# pip runs on this machine's Python and installs for that one: it asks it which wheels it takes.
outer=$(scripts/venv.sh python3 test requirements/test.txt)
tag=cp${VERSION/./}
wheel=$(echo dist/cede-*-"$tag-$tag"-musllinux*.whl)
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
