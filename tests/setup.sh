#!/bin/sh
# What the demo and the claims need besides Rust, on Debian 12 or 13. Run as root, as often as you like: it installs only
# what is missing. `tests/setup.sh demo` stops at what the demo needs; `tests/setup.sh peers` adds what tests/peers.sh needs.
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "tests/setup.sh: run this as root: packages may have to be installed" >&2; exit 1; }

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install() {
    # Daemons of our own are started when they are needed; the system's shall not start.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
    fi
    # One package source that is out of order need not matter for ours.
    apt-get update -q || echo "tests/setup.sh: going on with the package lists as they are" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null
}

install_missing() {
    for package in "$@"; do
        shift
        is_installed "$package" || set -- "$@" "$package"
    done
    [ $# -eq 0 ] || install "$@"
}

build="gcc libc6-dev clang libclang-dev"
run="samba smbclient clamav-daemon mount util-linux"
tests="samba-testsuite clamdscan clamav python3-venv ca-certificates attr acl valgrind systemd zip c-icap libc-icap-mod-virus-scan"
# Another client of the same scanners. It takes the place of whatever mail server is there, so it must be asked for.
peers="exim4-daemon-heavy"
case "${1:-all}" in
demo) install_missing $build $run; exit ;;
all) install_missing $build $run $tests ;;
peers) install_missing $build $run $tests $peers ;;
*) echo "usage: tests/setup.sh [demo | peers]" >&2; exit 2 ;;
esac

# A package of their own, or part of samba: that depends on the release.
modules=$(smbd -b | sed -n 's/^ *MODULESDIR: //p')/vfs
[ -e "$modules/virusfilter.so" ] || install samba-vfs-modules

# The client of the claims is Python; VSCAN_VENV names a place for it that outlives target/.
venv=${VSCAN_VENV:-target/venv}
if ! cmp -s tests/requirements.txt "$venv/installed"; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input -r tests/requirements.txt
    cp tests/requirements.txt "$venv/installed"
fi
