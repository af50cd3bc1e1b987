#!/bin/bash
# Builds the Debian package, and installs it, uses it and removes it in a clean root file system of each release. Run as
# root, after `tests/setup.sh package`; needs the network for the releases' packages.
#   tests/package.sh                 # bookworm and trixie
#   tests/package.sh trixie          # this one
# VSCAN_DEB names a package to test instead of building one. The clean roots are kept in VSCAN_MATRIX
# (/var/cache/vscan-matrix); what is done to them is done to a layer above them, which goes away.
set -eu
cd "$(dirname "$0")/.."

releases=("$@")
[ $# -gt 0 ] || releases=(bookworm trixie)
cache=${VSCAN_MATRIX:-/var/cache/vscan-matrix}
mirror=${VSCAN_MATRIX_MIRROR:-http://deb.debian.org/debian}
days=30

fail() {
    echo "tests/package.sh: $1" >&2
    exit 1
}

# The root of a release, as debootstrap makes it.
clean_root() {
    local release=$1 root=$cache/clean-$1 script=/usr/share/debootstrap/scripts/$1
    mkdir -p "$cache"
    exec 9>"$root.lock"
    flock 9
    if [ -z "$(find "$root.stamp" -mtime "-$days" 2>/dev/null)" ]; then
        rm -rf --one-file-system "$root"
        # An older debootstrap has no script for a newer release: they do not differ from sid's.
        [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
        debootstrap --variant=minbase "$release" "$root" "$mirror" "$script" >"$root.log" 2>&1 9>&- || {
            tail -n 20 "$root.log" >&2
            fail "cannot make a root of $release: see $root.log"
        }
        touch "$root.stamp"
    fi
    exec 9>&-
    echo "$root"
}

# What is done in there, in a mount namespace of its own, and with the root's path in $root: the scripts lie in /mnt.
read -r -d '' enter <<'END' || :
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/mnt"
cp tests/package/*.sh "$later" "$root/mnt"
cp "$deb" "$root/mnt/vscan.deb"
apt-config dump | grep -E '^Acquire::(Check-|Retries|https?::)' >"$root/etc/apt/apt.conf.d/machine" || :
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/test"
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$root" bash /mnt/install.sh
# A network of its own, in which the ports are free: nobody outside can connect.
unshare --net sh -ec 'ip link set lo up; exec chroot "$1" bash /mnt/use.sh' sh "$root"
chroot "$root" bash /mnt/remove.sh
END

command -v lintian >/dev/null || fail "lintian is missing: tests/setup.sh package"
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
deb=$(realpath "${VSCAN_DEB:-$(packaging/deb.sh)}")
echo "$(basename "$deb"), sha256 $(sha256sum "$deb" | cut -d ' ' -f 1)"

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/layers"
gcc -shared -fPIC -o "$work/later.so" tests/package/later.c
for release in "${releases[@]}"; do
    echo "==== $release"
    root=$(clean_root "$release")
    # The processes in there end with the first of them.
    root=$root deb=$deb later=$work/later.so work=$work/layers \
        unshare --mount --pid --fork --kill-child bash -euc "$enter" >"$work/log" 2>&1 </dev/null || {
        cat "$work/log" >&2
        fail "$release: the package is not as it should be: see above"
    }
    grep '^right: ' "$work/log"
done

echo "==== lintian"
lintian --fail-on error,warning "$deb"
