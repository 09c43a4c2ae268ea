#!/usr/bin/env bash
# Build with the address and undefined-behaviour sanitizers, and run the tests of all that is compiled on it; then the
# fuzzers, and ten thousand rounds of each kind of object, after which nothing that cede allocated may be lost.
#
#     scripts/sanitize.sh [--quick] [PYTHON]
#
# PYTHON is a version or a command, by default 3.13. --quick leaves most of it out: CI runs that. What is built stands
# under build/sanitize/, beside the compiled modules of the tree, which stay as they are. Kept memory is poisoned while
# nobody has it, and the interpreter takes each object's memory from malloc, so that all is seen.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tests=(tests/engine tests/io tests/net)
programs=2000 calls=20000 rounds=10000
if [[ ${1:-} == --quick ]]; then
    shift
    tests=(tests/engine/test_{future,task}{s,_objects}.py
        tests/engine/test_{await_errors,contexts,descriptors,finalizers,handles,memory,task_cancel,timers}.py
        tests/io/test_{stream,tls}_ends.py)
    programs=200 calls=2000 rounds=2000
fi
python=${1:-3.13}
if [[ $python =~ ^[0-9]+\.[0-9]+$ ]]; then
    version=$python
    python=$(find_python "$version") || die "no Python $version: neither python$version in PATH nor one of pyenv's"
fi
cd "$ROOT"
python=$(scripts/venv.sh "$python" test requirements/test.txt --optional requirements/programs.txt)
libraries=("$(gcc -print-file-name=libasan.so)" "$(gcc -print-file-name=libubsan.so)")
for library in "${libraries[@]}"; do
    [[ -e $library ]] || die "gcc has no ${library##*/} (on Debian: libgcc-dev)"
done

say "building with sanitizers for $("$python" -V)"
package=$ROOT/build/sanitize/package
CEDE_SANITIZE=1 CEDE_EXT=require "$python" setup.py --quiet build --build-lib "$package"
logs=$(mktemp -d "${TMPDIR:-/tmp}/cede-sanitize.XXXXXX")
trap 'rm -rf "$logs"' EXIT

# `watched COMMAND...`: run it on that build. A test that waits for a program of ours waits longer. Whoever wants more
# memory than there is (a list of what says that it has 2 ** 40 entries) is told so, as elsewhere.
watched() {
    LD_PRELOAD="${libraries[*]}" PYTHONMALLOC=malloc PYTHONPATH=$package \
        ASAN_OPTIONS="abort_on_error=1:allocator_may_return_null=1:${leaks:-detect_leaks=0}" \
        UBSAN_OPTIONS=print_stacktrace=1 "$@"
}

status=0
watched "$python" -c 'import cede, sys; sys.exit(not (cede.compiled and "sanitize" in cede.__file__))' ||
    die "cede was not imported from $package"
# (What takes memory away from a process takes it from the sanitizers.)
watched "$python" -m pytest -n "${CEDE_TEST_JOBS:-3}" --dist worksteal -o timeout=200 -m "not slow and not build" -k "not no_memory" \
    "${tests[@]}" || status=1
watched "$python" -m tests.fuzz --count "$programs" || status=1
watched "$python" -m tests.fuzz.hostile --calls "$calls" || status=1
leaks=detect_leaks=1:log_path=$logs/leaks:exitcode=0:fast_unwind_on_malloc=0 \
    watched "$python" -m tests.rounds --rounds "$rounds" || status=1
"$python" scripts/leaks.py "$logs"/leaks.* || status=1
exit "$status"
