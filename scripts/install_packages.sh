#!/usr/bin/env bash
# Install the Debian packages named on the command line, those that are missing. Needs root only if one is.
#
# None of their services is started: what the tests need, scripts/services.sh starts for itself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0
[[ $(id -u) == 0 ]] || die "not root, and these packages are missing: ${missing[*]}"
say "installing ${missing[*]}"
# A source that cannot be reached matters only if a package is then not found.
apt-get update -qq >/dev/null 2>&1 || say "apt-get update had complaints"
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
