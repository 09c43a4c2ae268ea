#!/usr/bin/env bash
# Provision Debian sid, for the Pythons that this machine does not have, and run commands in it. Needs root.
#
#     scripts/provision_sid.sh                    make or check the system
#     scripts/provision_sid.sh COMMAND...         the same, then run COMMAND in it, in /cede, which is this checkout
#
# The system stands in $CEDE_SID_DIR (default /var/cache/cede/sid) and is kept between runs; its environments are in
# /venvs there. Mounts live in a mount namespace of their own: they end with the command, however it ends.
# Which Debian mirror, package index and certificates are used is what apt and pip are set up with on this machine.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SID=${CEDE_SID_DIR:-/var/cache/cede/sid}
PACKAGES=python3.15,python3.15-dev,python3.15-venv,libpython3.15-testsuite
PACKAGES+=,python3.14,python3.14-dev,python3.14-venv,libpython3.14-testsuite
PACKAGES+=,gcc,libc6-dev,ca-certificates,wrk,valgrind,libc6-dbg

[[ $(id -u) == 0 ]] || die "scripts/provision_sid.sh makes a chroot: it must run as root"

bootstrap() {
    local url
    command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
    url=$(debian_mirror)
    [[ -n $url ]] || die "apt knows no Debian mirror on this machine"
    say "making Debian sid in $SID (some minutes)"
    rm -rf "$SID.new" "$SID"
    mkdir -p "$SID.new"
    if ! debootstrap --variant=minbase --include="$PACKAGES" sid "$SID.new" "$url" >"$SID.log" 2>&1; then
        tail -n 30 "$SID.log" >&2
        die "debootstrap failed; its log is $SID.log"
    fi
    printf '%s\n' "$PACKAGES" >"$SID.new/.cede-packages"
    mkdir -p "$SID.new/cede" "$SID.new/venvs"
    # Order: the folder gets its name last, so a bootstrap that was cut short is never taken for a whole one.
    mv "$SID.new" "$SID"
}

provision() {
    mkdir -p "${SID%/*}"
    exec 8>"$SID.lock"
    flock 8
    if [[ $(cat "$SID/.cede-packages" 2>/dev/null) != "$PACKAGES" ]]; then
        bootstrap
    fi
    exec 8>&-
}

# Files and folders outside the chroot that pip's configuration and the certificates' variables name, and the
# configuration files themselves.
wanted_paths() {
    {
        python3 -m pip config list | sed "s/^[^=]*='\(.*\)'$/\1/" | tr ' ' '\n' | sed 's|^file://||'
        python3 -m pip config debug | sed -n 's/^ *\(.*\), exists: True$/\1/p'
        printf '%s\n' "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" "${PIP_CERT:-}" "${PIP_CONFIG_FILE:-}"
        printf '%s\n' /etc/ssl/certs/ca-certificates.crt /etc/resolv.conf /etc/hosts
    } 2>/dev/null | grep '^/' | sort -u
}

# Show the host's $1 in the chroot at the same path, read-only for folders. A `simple` index refers to its sibling
# `files`, so of a folder the parent is shown.
show() {
    local path=$1
    [[ -e $path ]] || return 0
    if [[ -d $path ]]; then
        [[ ${path##*/} == simple ]] && path=${path%/*}
        mountpoint -q "$SID$path" && return 0
        mkdir -p "$SID$path"
        mount --bind -o ro "$path" "$SID$path"
    else
        # In sid some of these are symbolic links into folders that are not there.
        mkdir -p "$SID${path%/*}"
        cp --remove-destination -L "$path" "$SID$path"
    fi
}

# Runs inside the mount namespace.
enter() {
    mount --bind "$ROOT" "$SID/cede"
    mount -t proc proc "$SID/proc"
    mount --rbind /dev "$SID/dev"
    while read -r path; do
        show "$path"
    done < <(wanted_paths)
    exec env -u PYTHONPATH -u VIRTUAL_ENV HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8 CEDE_VENVS=/venvs \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$SID" /bin/bash -c 'cd /cede && exec "$@"' bash "$@"
}

if [[ ${1:-} == --inside ]]; then
    shift
    enter "$@"
fi
provision
if [[ $# -gt 0 ]]; then
    exec unshare --mount --propagation private "${BASH_SOURCE[0]}" --inside "$@"
fi
