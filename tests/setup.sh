#!/bin/sh
# What the claims need besides Rust, on Debian 12 or 13. May be run again: it installs only what is missing.
set -eu
cd "$(dirname "$0")/.."

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install() {
    # The rig starts daemons of its own; the system's shall not start.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

set --
for package in samba smbclient samba-testsuite clamav-daemon clamdscan clamav clang libclang-dev python3-venv \
    attr acl valgrind zip; do
    is_installed "$package" || set -- "$@" "$package"
done
[ $# -eq 0 ] || install "$@"
# A package of their own, or part of samba: that depends on the release.
modules=$(smbd -b | sed -n 's/^ *MODULESDIR: //p')/vfs
[ -e "$modules/virusfilter.so" ] || install samba-vfs-modules

venv=target/venv
if ! cmp -s tests/requirements.txt "$venv/installed"; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
    cp tests/requirements.txt "$venv/installed"
fi
