#!/bin/sh
# What the demo and the claims need besides Rust, on Debian 12 or 13. Run as root, as often as you like: it installs only
# what is missing. `tests/setup.sh demo` stops at what the demo needs; `tests/setup.sh peers` adds what tests/peers.sh needs,
# `tests/setup.sh package` what tests/package.sh needs.
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
run="samba smbclient clamav-daemon mount util-linux iproute2"
tests="g++ samba-testsuite clamdscan clamav python3-venv ca-certificates attr acl valgrind systemd zip redis-server c-icap libc-icap-mod-virus-scan man-db ksh93u+m xz-utils"
# For other releases' Samba: see tests/matrix.sh.
matrix="debootstrap binutils"
# Other clients of the same scanners. Exim takes the place of whatever mail server is there, so they must be asked for.
peers="exim4-daemon-heavy rspamd squid amavisd-new"
# For tests/package.sh.
deb="debootstrap lintian binutils iproute2"
case "${1:-all}" in
demo) install_missing $build $run; exit ;;
all) install_missing $build $run $tests $matrix ;;
peers) install_missing $build $run $tests $matrix $peers ;;
package) install_missing $build $run $tests $deb ;;
*) echo "usage: tests/setup.sh [demo | peers | package]" >&2; exit 2 ;;
esac

# A package of their own, or part of samba: that depends on the release.
modules=$(smbd -b | sed -n 's/^ *MODULESDIR: //p')/vfs
[ -e "$modules/virusfilter.so" ] || install samba-vfs-modules

# Python programs: a file of requirements, and the place where they are installed.
python() {
    cmp -s "$1" "$2/installed" && return
    rm -rf "$2"
    /usr/bin/python3 -m venv "$2"
    "$2/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$1"
    cp "$1" "$2/installed"
}

# VSCAN_VENV and VSCAN_PEERS_VENV name places that outlive target/.
python tests/requirements.txt "${VSCAN_VENV:-target/venv}"
[ "${1:-all}" != peers ] || python tests/requirements-peers.txt "${VSCAN_PEERS_VENV:-target/peers}"

# A file of Samba's that no package has, from the source package of the Samba that is installed here. The system's own lists of
# packages stay as they are.
example() {
    [ ! -e "$2" ] || return 0
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$(dirname "$2")"
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Component: main' | sort -u |
        sed 's/.*/deb-src & main/' >"$work/sources.list"
    (
        cd "$work"
        set -- -q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
            -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root
        apt-get "$@" update
        apt-get "$@" source --download-only samba
    )
    tar -xJf "$work"/samba_*.orig.tar.xz -C "$work" --wildcards --no-anchored --strip-components=1 "$1"
    mv "$work/$1" "$2"
    rm -r "$work"
}

example examples/scripts/vfs/virusfilter/virusfilter-notify.ksh "$(dirname "${VSCAN_VENV:-target/venv}")/examples/virusfilter-notify.ksh"
