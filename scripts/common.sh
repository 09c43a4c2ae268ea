# shellcheck shell=bash
# Sourced by the scripts beside it: where the project stands, how to speak, how to find a Python.

# shellcheck disable=SC2034  # for who sources this
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# The real path of an interpreter: `resolve_python python3.12` prints /usr/bin/python3.12, also behind a shim;
# fails if there is no such command, or it is a shim of a version that is not active.
resolve_python() {
    "$1" -c 'import sys; print(sys.executable)' 2>/dev/null
}

# `find_python 3.12`: first what PATH has, then the newest that pyenv installed.
find_python() {
    local version=$1 candidate found
    local -a candidates=("python$version" python3)
    mapfile -t -O 2 candidates < <(
        printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python3 | sort -Vr
    )
    for candidate in "${candidates[@]}"; do
        found=$(resolve_python "$candidate") || continue
        if [[ $(version_of "$found") == "$version" ]]; then
            echo "$found"
            return 0
        fi
    done
    return 1
}

# `version_of /usr/bin/python3` prints 3.12
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# The mirror that apt installs this machine's Debian from. (Before the first `apt-get update` apt knows no origins:
# then the archive is told by its name.)
# shellcheck disable=SC2016  # apt expands these
debian_mirror() {
    {
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian'
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$'
    } | sed -n 1p
}
