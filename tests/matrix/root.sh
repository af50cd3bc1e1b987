#!/bin/sh
# Makes the root file system of one release, or renews it when it is stale, and prints where it is. Run as root.
#   tests/matrix/root.sh RELEASE
# It lies in VSCAN_MATRIX (/var/cache/vscan-matrix by default) and is a system without a kernel or running daemons.
# Packages come from VSCAN_MATRIX_MIRROR and VSCAN_MATRIX_SECURITY (Debian's own by default), with this machine's settings
# of apt for the network.
set -eu

release=${1:?usage: tests/matrix/root.sh RELEASE}
cache=${VSCAN_MATRIX:-/var/cache/vscan-matrix}
mirror=${VSCAN_MATRIX_MIRROR:-http://deb.debian.org/debian}
security=${VSCAN_MATRIX_SECURITY:-http://deb.debian.org/debian-security}
days=30

suite=${release%-backports}
case $release in
bullseye | bookworm | trixie)
    updates="deb $security $suite-security main"
    target=
    ;;
bookworm-backports | trixie-backports)
    updates="deb $mirror $release main"
    target=$release
    ;;
forky)
    updates=
    target=
    ;;
*)
    echo "tests/matrix/root.sh: $release is none of bullseye, bookworm, bookworm-backports, trixie, trixie-backports, forky" >&2
    exit 2
    ;;
esac

command -v debootstrap >/dev/null || {
    echo "tests/matrix/root.sh: debootstrap is missing: apt-get install debootstrap" >&2
    exit 1
}
mkdir -p "$cache"
# Two runs at once share what the first makes.
exec 9>"$cache/$release.lock"
flock 9
root=$cache/$release
# The stamp is written last: a root without one was never finished.
if [ -n "$(find "$root/vscan-matrix.stamp" -mtime "-$days" 2>/dev/null)" ]; then
    echo "$root"
    exit
fi

if grep -qE " $root(\.new)?/" /proc/self/mountinfo; then
    echo "tests/matrix/root.sh: something is mounted below $root or $root.new: unmount it first" >&2
    exit 1
fi
rm -rf --one-file-system "$root" "$root.new"

make() {
    # An older debootstrap has no script for a newer release: they do not differ from sid's.
    script=/usr/share/debootstrap/scripts/$suite
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    debootstrap --variant=minbase "$suite" "$root.new" "$mirror" "$script"
    echo force-unsafe-io >"$root.new/etc/dpkg/dpkg.cfg.d/matrix"
    printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d"
    chmod 755 "$root.new/usr/sbin/policy-rc.d"
    echo "$updates" >"$root.new/etc/apt/sources.list.d/matrix.list"
    "$(dirname "$0")/apt.sh" >"$root.new/etc/apt/apt.conf.d/machine"
    # Not the machine's /proc: the packages' scripts must not find its processes.
    unshare --mount --pid --fork --mount-proc="$root.new/proc" chroot "$root.new" /bin/sh -ec '
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
        apt-get -q update
        apt-get -q -y --no-install-recommends ${1:+-t "$1"} install samba
        # Part of samba in newer releases.
        [ -e "$(smbd -b | sed -n "s/^ *MODULESDIR: //p")/vfs/acl_xattr.so" ] ||
            apt-get -q -y --no-install-recommends ${1:+-t "$1"} install samba-vfs-modules
        apt-get clean
        rm -rf /var/lib/apt/lists/*
    ' sh "$target" </dev/null
    smbd=$(chroot "$root.new" smbd --version)
    mv "$root.new" "$root"
    echo "$smbd" >"$root/vscan-matrix.stamp"
}

log=$cache/$release.log
# `set -e` would not hold inside `make || ...`.
(make) >"$log" 2>&1 9>&- &
wait $! || {
    tail -n 20 "$log" >&2
    echo "tests/matrix/root.sh: cannot make a root of $release: see $log" >&2
    exit 1
}
echo "$root"
