#!/bin/bash
# Removes the package, and compares what is there with what was.
set -eu
. /mnt/claims.sh

apt-get -q -y remove vscan 2>&1 | tee /mnt/output
right "the removal says that the shares can no longer be used" has /mnt/output "take it out of smb.conf"
cp -a /mnt/smb.conf /etc/samba/smb.conf
rm /etc/samba/vscan.conf
apt-get -q -y purge vscan 2>&1 | tee /mnt/output
right "the purge says that it keeps the quarantine" has /mnt/output "infected files are kept in /var/lib/vscan/quarantine"
files >/mnt/after
diff /mnt/before /mnt/after >/mnt/difference || :
cat /mnt/difference
right "the quarantine is kept" has /mnt/difference /var/lib/vscan/quarantine/vir-
right "nothing else is left, and nothing is missing" [ -z "$(grep '^[<>]' /mnt/difference | grep -v -e '/var/lib/vscan/quarantine' -e ' /var/lib/vscan$')" ]
right "nor in /run" [ ! -e /run/vscan ]
