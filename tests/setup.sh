#!/bin/sh
# What the claims need besides Rust, on Debian 12 or 13. May be run again: it installs only what is missing.
set -eu
cd "$(dirname "$0")/.."

packages="samba smbclient samba-vfs-modules samba-testsuite clamav-daemon clamdscan clamav clang libclang-dev
    python3-venv attr acl valgrind zip util-linux"
missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    # The rig starts daemons of its own; the system's shall not start.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

venv=target/venv
if ! cmp -s tests/requirements.txt "$venv/installed"; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
    cp tests/requirements.txt "$venv/installed"
fi
