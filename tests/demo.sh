#!/bin/bash
# Shows vscan at work: a private smbd and a private clamd, files with and without a virus, and what becomes of them.
#
# Run as root on Debian 12 or 13 with Rust. Everything happens in a temporary directory and on loopback, and is gone
# afterwards; no daemon, module folder or configuration of the machine is touched. Ends with 0 only if every step went
# as it says.
set -eu
cd "$(dirname "$0")/.."

readonly USER_NAME=daemon PASSWORD=demo # a user of every Debian; the password counts on this private server only
failed=0 step=0 home= smbd= clamd=

# ---- Telling what happens ------------------------------------------------------------------------------------------

step() { # title, expectation
    step=$((step + 1))
    printf '\n%s. %s\n   Expected: %s\n' "$step" "$1" "$2"
    log_mark=$(log_size)
}

good() { printf '   Right:    %s\n' "$1"; }

bad() {
    printf '   WRONG:    %s\n' "$1"
    failed=$((failed + 1))
}

check() { # what must be true, a test of it
    local claim=$1
    shift
    if "$@"; then good "$claim"; else bad "this is not so: $claim"; fi
}

log_size() { wc -c <"$home/log.smbd"; }

show_log() {
    # A line in Samba's log is a header with the time, and the text below it. That a quarantine in /tmp does not last is
    # true, and not worth repeating here.
    tail -c "+$((log_mark + 1))" "$home/log.smbd" | grep -A1 'vscan(vscan)$' | grep '^  ' |
        grep -v ': vscan:quarantine directory = ' | sed 's/^ */   Log:      /' || :
}

# ---- Starting and stopping -----------------------------------------------------------------------------------------

stop() { # a daemon's process, which leads a process group of its own
    kill -s KILL -- -"$1" 2>/dev/null || :
    wait "$1" 2>/dev/null || :
}

clean_up() {
    [ -z "$smbd" ] || stop "$smbd"
    [ -z "$clamd" ] || stop "$clamd"
    # The mounts of the private smbd went with it. A child of it may take a moment more to die.
    for _ in 1 2 3 4 5; do [ -z "$home" ] || rm -rf "$home" 2>/dev/null && break || sleep 1; done
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

die() {
    echo "tests/demo.sh: $*" >&2
    exit 1
}

wait_for() { # a daemon's name and process, a test of whether it listens
    local tries=600 name=$1 pid=$2
    shift 2
    until "$@"; do
        tries=$((tries - 1))
        kill -0 "$pid" 2>/dev/null && [ $tries -gt 0 ] || die "$name does not start; its last words:
$(cat "$home/log.$name"* | tail -n 10)"
        sleep 0.1
    done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

free_port() {
    local candidate
    for _ in $(seq 50); do
        candidate=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate"; return; }
    done
    die "there is no free TCP port"
}

# The EICAR test file: every scanner takes it for a virus, and it does nothing. In parts, so that no scanner takes this
# script for one.
eicar() { printf '%s%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$' 'EICAR-STANDARD-ANTIVIRUS' '-TEST-FILE!$H+H*'; }

start_clamd() {
    mkdir "$home/db" "$home/tmp"
    echo "Eicar-Test:0:*:$(eicar | od -An -v -tx1 | tr -d ' \n')" >"$home/db/demo.ndb"
    cat >"$home/clamd.conf" <<END
Foreground yes
LocalSocket $home/clamd.sock
LocalSocketMode 666
DatabaseDirectory $home/db
TemporaryDirectory $home/tmp
LogFile $home/log.clamd
User root
END
    setsid clamd --config-file="$home/clamd.conf" </dev/null >"$home/log.clamd-output" 2>&1 &
    clamd=$!
    wait_for clamd "$clamd" test -S "$home/clamd.sock"
}

write_smb_conf() {
    cat >"$home/smb.conf" <<END
[global]
    smb ports = $port
    interfaces = 127.0.0.1/8
    bind interfaces only = yes
    server role = standalone server
    disable netbios = yes
    disable spoolss = yes
    load printers = no
    state directory = $home/state
    lock directory = $home/lock
    cache directory = $home/cache
    private dir = $home/private
    pid directory = $home/pid
    ncalrpc dir = $home/ncalrpc
    log file = $home/log.smbd
    max log size = 0
    log level = 1
    vscan:scanner = clamav:$home/clamd.sock
    vscan:quarantine directory = $home/quarantine
    vscan:syslog = no

[team]
    path = $home/team
    read only = no
    vfs objects = vscan

[archive]
    path = $home/archive
    read only = no
    vfs objects = vscan
    vscan:infected file action = nothing
    vscan:scan on close = wait
END
}

# smbd finds modules in one folder only. In a private mount namespace, a folder of ours stands in its place: it holds
# links to Samba's own modules, and vscan.so.
start_smbd() {
    local folder modules module
    for folder in state lock cache private pid ncalrpc team archive modules samba-modules; do mkdir "$home/$folder"; done
    chmod 700 "$home/private"
    chown "$USER_NAME:" "$home/team" "$home/archive"
    modules=$(smbd -b | sed -n 's/^ *MODULESDIR: //p')/vfs
    for module in "$modules"/*; do ln -s "$home/samba-modules/${module##*/}" "$home/modules/"; done
    ln -sf "$vscan" "$home/modules/vscan.so"
    printf '%s\n%s\n' "$PASSWORD" "$PASSWORD" | smbpasswd -c "$home/smb.conf" -s -a "$USER_NAME" >/dev/null 2>&1 ||
        die "smbpasswd cannot add the user $USER_NAME"
    # Without --no-process-group, smbd would not run as the leader of a session.
    setsid unshare --mount --propagation private sh -c '
        mount --bind "$1" "$2/samba-modules" && mount --bind "$2/modules" "$1" &&
            exec smbd --foreground --no-process-group --configfile="$2/smb.conf"
    ' sh "$modules" "$home" </dev/null >>"$home/log.smbd" 2>&1 &
    smbd=$!
    wait_for smbd "$smbd" answers
}

# ---- Acting as a client --------------------------------------------------------------------------------------------

client() { # share, smbclient's commands; what it says is shown and kept in $said
    printf '   Client:   smbclient //127.0.0.1/%s -c '"'%s'\n" "$1" "$2"
    said=$(cd "$home/client" && smbclient "//127.0.0.1/$1" --configfile=/dev/null -p "$port" \
        -U "$USER_NAME%$PASSWORD" -t 60 -c "$2" </dev/null 2>&1) || :
    printf '%s\n' "${said:-(says nothing: all went well)}" | sed 's/^/   Says:     /'
}

client_is_told() { [[ $said == *"$1"* ]]; }
no_error() { [[ $said != *NT_STATUS_* ]]; }
gone() { [ ! -e "$1" ]; }

# ---- The demonstration ---------------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || die "run this as root: smbd has to switch between users"
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null || die "there is no Rust here: see https://rustup.rs"

echo "Installing what is missing (smbd, smbclient, clamd, clang) and building vscan. This may take a few minutes."
tests/setup.sh demo
vscan=$(cargo build --package vscan --locked --message-format json-render-diagnostics </dev/null |
    grep -o '"[^"]*/libvscan\.so"' | head -n 1 | tr -d '"')
[ -e "$vscan" ] || die "cargo did not build libvscan.so"
echo "Built: $vscan"

home=$(mktemp -d /tmp/vscan-demo-XXXXXX)
chmod 755 "$home"
mkdir "$home/client"
: >"$home/log.smbd"
port=$(free_port)
write_smb_conf
start_clamd
start_smbd
cat <<END
Started: a clamd that knows one virus, the harmless EICAR test file, and an smbd on port $port of this machine.
It serves two shares, both with "vfs objects = vscan":
  team     with the default settings: infected files are denied and moved to quarantine
  archive  with "infected file action = nothing" and "scan on close = wait": infected files are denied and stay where
           they are, and whoever writes one is told
END

head -c 300000 /dev/urandom | od -v -tx1 >"$home/client/report.txt"
eicar >"$home/client/invoice.com"

step "A clean file is written and read back." "no error, and the same bytes come back"
client team 'put report.txt; get report.txt again.txt'
check "smbclient shows no error" no_error
check "the file that came back is identical" cmp -s "$home/client/report.txt" "$home/client/again.txt"
check "nothing is in quarantine" gone "$home/quarantine"

step "An infected file lies in the share archive. A client tries to read it." \
    "the open is refused with NT_STATUS_VIRUS_INFECTED; Windows shows this as \"the file contains a virus\""
install -o "$USER_NAME" "$home/client/invoice.com" "$home/archive/old.com"
client archive 'get old.com'
show_log
check "the client is told NT_STATUS_VIRUS_INFECTED" client_is_told NT_STATUS_VIRUS_INFECTED
check "the client has got nothing" gone "$home/client/old.com"
check "the file is where it was, as this share's settings say" test -e "$home/archive/old.com"

step "The client deletes that infected file." "deleting needs no scan, so it works"
client archive 'del old.com'
check "smbclient shows no error" no_error
check "the file is gone" gone "$home/archive/old.com"

step "A client writes an infected file into the share archive, where a close waits for the scan." \
    "the close is refused, because only then the file is complete; and nobody can read the file"
client archive 'put invoice.com; get invoice.com got.com'
show_log
check "the close failed" client_is_told 'NT_STATUS_ACCESS_DENIED closing remote file'
check "reading it is refused with NT_STATUS_VIRUS_INFECTED" client_is_told NT_STATUS_VIRUS_INFECTED
check "the client has got nothing" gone "$home/client/got.com"

step "An infected file lies in the share team. A client tries to read it." \
    "refused as in archive; and the file is moved to quarantine"
install -o "$USER_NAME" "$home/client/invoice.com" "$home/team/gift.com"
client team 'get gift.com'
show_log
check "the client is told NT_STATUS_VIRUS_INFECTED" client_is_told NT_STATUS_VIRUS_INFECTED
check "the client has got nothing" gone "$home/client/gift.com"
check "the file is no longer in the share" gone "$home/team/gift.com"

step "A client writes an infected file into the share team, and goes away." \
    "the client need not wait; the file is scanned behind its back and moved to quarantine"
client team 'put invoice.com'
for _ in $(seq 100); do gone "$home/team/invoice.com" && break || sleep 0.1; done
show_log
check "the file is no longer in the share" gone "$home/team/invoice.com"
record=$(grep -ls 'team/invoice\.com' "$home"/quarantine/*.json || :)
check "the quarantine has it" cmp -s "$home/client/invoice.com" "${record%.json}"
if [ -e "$record" ]; then
    echo "   The record beside it says where it came from, for a restore:"
    sed 's/^/      /' "$record"
    echo
fi

step "The scanner is stopped. A client tries to read a file that nobody has scanned." \
    "denied, because nobody can tell what is in it (deny access on error = yes, the default)"
install -o "$USER_NAME" "$home/client/report.txt" "$home/team/unknown.txt"
stop "$clamd"
clamd=
client team 'get unknown.txt'
show_log
check "the client is told NT_STATUS_ACCESS_DENIED" client_is_told NT_STATUS_ACCESS_DENIED
check "the file is still in the share" test -e "$home/team/unknown.txt"

echo
[ $failed -eq 0 ] || die "$failed of the claims above did not hold"
echo "All $step steps went as expected."
