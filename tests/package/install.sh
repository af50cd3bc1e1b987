#!/bin/bash
# Installs the package twice: once from nothing, with what it depends on, and once more.
set -eu
. /mnt/claims.sh

install() {
    apt-get -q -y --no-install-recommends install "$@" 2>&1 | tee /mnt/output
}

apt-get -q update
right "the package recommends ClamAV" [ "$(dpkg-deb --field /mnt/vscan.deb Recommends)" = clamav-daemon ]
install /mnt/vscan.deb
samba=$(smbd --version)
right "Samba came with it: ${samba#Version }" has /mnt/output "Setting up samba "
right "the installation says that this Samba loads the module" has /mnt/output "vscan: Samba ${samba#Version } loads the module"
module=$(smbd -b | sed -n 's/^ *MODULESDIR: //p')/vfs/vscan.so
right "the module is where this Samba looks for it" [ -f "$module" ]
right "no library is missing" [ -z "$(ldd /usr/sbin/vscanctl /usr/libexec/vscan-notify | grep 'not found')" ]

install clamav-daemon smbclient man-db bash-completion zsh fish
apt-get -q -y --reinstall --no-install-recommends install samba 2>&1 | tee /mnt/output
right "a new smbd is tried as well" has /mnt/output "vscan: Samba ${samba#Version } loads the module"

# What vscan is told when it asks for the version.
LD_PRELOAD=/mnt/later.so dpkg-trigger --no-await --by-package=samba /usr/sbin/smbd
LD_PRELOAD=/mnt/later.so dpkg --configure --pending 2>&1 | tee /mnt/output
right "a Samba that is too new for the module is complained about" has /mnt/output "cannot load the module: shares with"
right "with its version and those that are served" has /mnt/output "interface of Samba 4.99.0: it serves Samba 4."

mv "$module" /mnt/vscan.so
echo "no module" >"$module"
dpkg-trigger --by-package=samba /usr/sbin/smbd
dpkg --configure --pending 2>&1 | tee /mnt/output
right "a module that cannot be loaded is complained about" has /mnt/output "cannot load the module: shares with"
mv /mnt/vscan.so "$module"

apt-get -q -y purge vscan
# LVM has commands named lvscan and pvscan.
find / -xdev -path /mnt -prune -o \( -iname 'vscan*' -o -iname '*[!a-z]vscan*' \) -print >/mnt/output
cat /mnt/output
right "a package that was never used leaves nothing" [ ! -s /mnt/output ]
files >/mnt/before
install /mnt/vscan.deb
