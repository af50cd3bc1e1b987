#!/bin/bash
# Runs smbd and clamd as the packages have set them up, with what README.Debian says, and opens files.
set -eu
. /mnt/claims.sh

eicar() {
    # In two parts: an on-access scanner would take this script away.
    printf '%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR' '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'
}

wait_for() { # what, a test of it
    local what=$1 tries=600
    shift
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || {
            cat /mnt/log.* /var/log/samba/* 2>/dev/null || :
            echo "WRONG: $what does not start"
            exit 1
        }
        sleep 0.1
    done
}

client() {
    smbclient //127.0.0.1/data -U daemon%secret -c "$1" >/mnt/output 2>&1
}

# One signature takes no time to load.
rm -rf /var/lib/clamav/*
echo "Eicar-Test:0:*:$(eicar | od -An -v -tx1 | tr -d ' \n')" >/var/lib/clamav/test.ndb
mkdir -p /run/clamav /run/samba /srv/data
chown clamav:clamav /run/clamav
chown daemon /srv/data
clamd --foreground >/mnt/log.clamd 2>&1 &
clamd=$!

cp -a /etc/samba/smb.conf /mnt/smb.conf
cp /usr/share/doc/vscan/examples/vscan.conf.example /etc/samba/vscan.conf
printf '[data]\n    path = /srv/data\n    read only = no\n    vfs objects = vscan\n' >>/etc/samba/smb.conf
printf 'secret\nsecret\n' | smbpasswd -s -a daemon
setsid smbd --foreground --no-process-group >/mnt/log.smbd 2>&1 &
smbd=$!
wait_for clamd [ -S /run/clamav/clamd.ctl ]
wait_for smbd client ls

right "vscanctl finds nothing wrong" vscanctl check
for page in "1 vscanctl" "5 vscan.conf" "8 vfs_vscan"; do
    man $page >/mnt/output 2>&1 || :
    right "there is a manual page: $page" has /mnt/output NAME
done
complete_in_bash() {
    bash -c '. "$1"; COMP_WORDS=(vscanctl quar) COMP_CWORD=1; _vscanctl vscanctl quar vscanctl
        echo "${COMPREPLY[@]}"' bash /usr/share/bash-completion/completions/vscanctl >/mnt/output
}
complete_in_bash
right "bash completes its words" has /mnt/output quarantine
HOME=/mnt fish --command 'complete --do-complete "vscanctl quar"' >/mnt/output
right "fish completes its words" has /mnt/output quarantine
right "zsh can read its completions" zsh -n /usr/share/zsh/vendor-completions/_vscanctl
echo "clean" >/mnt/clean.txt
right "a clean file can be written" client "put /mnt/clean.txt clean.txt"
right "a clean file can be read" client "get clean.txt /mnt/got.txt"
right "and is what it was" cmp /mnt/clean.txt /mnt/got.txt
eicar >/srv/data/bad.com
! client "get bad.com /mnt/got.com" || :
right "an infected file is refused as such" has /mnt/output NT_STATUS_VIRUS_INFECTED
right "and nothing of it arrived" [ ! -s /mnt/got.com ]
right "it is in quarantine" [ "$(find /var/lib/vscan/quarantine -name 'vir-*' ! -name '*.json' | wc -l)" = 1 ]
right "and not in the share" [ ! -e /srv/data/bad.com ]

kill $smbd $clamd
wait $smbd $clamd || :
