#!/bin/bash
# Brings docker-compose.yml up for real: all claims of its client, who runs as root there, which way each share's files
# went to their scanner, and what becomes of it when clamd is lost. Run as root on Debian with Docker, Compose and
# debootstrap. Nothing but what it made is removed afterwards; VSCAN_KEEP=1 keeps the images, for a faster next run, and
# the next run without it removes them.
#
# The base images are pulled if there is a registry. Without one, a debootstrap root file system, and one with this
# machine's Rust in it, are imported under their names.
set -eu
cd "$(dirname "$0")/.."

readonly cache=${VSCAN_MATRIX:-/var/cache/vscan-matrix}
readonly mirror=${VSCAN_MATRIX_MIRROR:-http://deb.debian.org/debian}
# What must be told apart when the images are removed, also by a later run: the names that were imported, and the stages
# that others have built.
readonly imported=$cache/compose.imported others=$cache/compose.others
export COMPOSE_PROJECT_NAME=vscan-test

die() {
    echo "tests/compose.sh: $*" >&2
    exit 1
}

headline() { printf '\n==== %s\n' "$*"; }

compose() { "${compose[@]}" "$@" </dev/null; }

# What the older builder has left of the stage that builds vscan.
build_stages() { docker images --quiet --filter dangling=true --filter label=vscan=build; }

clean_up() {
    compose down --volumes --remove-orphans >"$work/down" 2>&1 || cat "$work/down" >&2
    if [ -z "${VSCAN_KEEP:-}" ]; then
        compose down --rmi local >"$work/down" 2>&1 || cat "$work/down" >&2
        docker rmi $(build_stages | grep -vxFf "$others") >/dev/null 2>&1 || :
        for image in $(tac "$imported"); do docker rmi "$image" >/dev/null || :; done
        rm -f "$imported" "$others"
    fi
    rm -rf --one-file-system "$work"
}

# ---- The base images -----------------------------------------------------------------------------------------------

# As a mirror has it today; kept for a month.
import_debian() { # name of the image, release
    local archive=$cache/base-$2.tar
    if [ -z "$(find "$archive" -mtime -30 2>/dev/null)" ]; then
        debootstrap --variant=minbase "$2" "$work/root" "$mirror" >"$work/log" 2>&1 ||
            { tail -n 20 "$work/log" >&2; die "debootstrap cannot make $2"; }
        echo "deb ${VSCAN_MATRIX_SECURITY:-http://deb.debian.org/debian-security} $2-security main" \
            >>"$work/root/etc/apt/sources.list"
        tests/matrix/apt.sh >"$work/root/etc/apt/apt.conf.d/machine"
        # Of the authorities that this machine trusts besides the usual, for a network whose proxy has one.
        cp -a /usr/local/share/ca-certificates "$work/root/usr/local/share/"
        tar -C "$work/root" -cf "$archive.new" --one-file-system .
        mv "$archive.new" "$archive"
        rm -rf --one-file-system "$work/root"
    fi
    docker import --change 'CMD ["bash"]' "$archive" "$1" >/dev/null
}

# Debian with a C compiler, and this machine's Rust in /usr/local.
import_rust() { # name of the image, release
    local rust
    rust=$(rustc --print sysroot)
    mkdir "$work/rust"
    cat >"$work/rust/Dockerfile" <<END
FROM debian:$2-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates
COPY bin /usr/local/bin
COPY lib /usr/local/lib
END
    tar -C "$work/rust" -c Dockerfile -C "$rust" --exclude=lib/rustlib/src bin/rustc bin/cargo lib |
        docker build --quiet --tag "$1" - >/dev/null
}

have_image() { # name
    docker image inspect "$1" >/dev/null 2>&1 && return
    if timeout 600 docker pull --quiet "$1" >"$work/pull" 2>&1; then
        echo "$1: pulled"
        return
    fi
    echo "$1" >>"$imported"
    case $1 in
    debian:*-slim)
        import_debian "$1" "$(sed 's/debian:\(.*\)-slim/\1/' <<<"$1")"
        echo "$1: there is no registry; a debootstrap root took its place"
        ;;
    rust:*)
        import_rust "$1" "${1##*-}"
        echo "$1: there is no registry; $(rustc --version) took its place"
        ;;
    *) die "cannot get the image $1: $(tail -n 1 "$work/pull")" ;;
    esac
}

# ---- Looking at what came out --------------------------------------------------------------------------------------

check() { # what must be true, a test of it
    local claim=$1
    shift
    "$@" || die "this is not so: $claim"
    echo "   right: $claim"
}

logs() { # service, pattern: is it in the log?
    compose logs --no-color "$1" 2>&1 | grep -q -- "$2"
}

not_root() { [ "$(compose run --rm --no-deps --entrypoint id "$1" -u 2>/dev/null)" -gt 0 ]; }

quarantined() { # name of a file in team: is it in quarantine, beside a record that says so?
    compose exec -T samba sh -c '
        record=$(grep -ls "team/$1" /var/lib/vscan/quarantine/*.json | head -n 1)
        [ -n "$record" ] && [ "$(wc -c <"${record%.json}")" = 68 ]
    ' sh "$1"
}

# ---- The test ------------------------------------------------------------------------------------------------------

command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
"${compose[@]}" version >/dev/null 2>&1 || die "there is no Docker Compose: apt-get install docker-compose"
docker info >/dev/null 2>&1 || die "no Docker Engine answers: apt-get install docker.io, and start it"
! grep -vxFf tests/requirements.txt docker/client/requirements.txt || die "the claims' client has other versions of these"
mkdir -p "$cache"
exec 9>"$cache/compose.lock"
flock --nonblock 9 || die "it runs already"
work=$(mktemp -d /tmp/vscan-compose-XXXXXX)
# Of the first run since the images were removed.
[ -e "$others" ] || build_stages >"$others"
touch "$imported"
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

headline "Base images"
for image in $(sed -n 's/^FROM \([^ ]*\).*/\1/p' docker/*/Dockerfile | sort -u); do have_image "$image"; done

headline "docker compose up: the client's claims"
compose build --quiet
compose up --no-color --exit-code-from client

headline "The way of each share's files"
compose up --no-color --detach samba
# It knows the name of the descriptor's file, which is nowhere in its own container.
check "clamd was passed descriptors" logs clamd '/srv/team/invoice.com: Eicar-Test.UNOFFICIAL FOUND'
check "clamd has no share" compose exec -T clamd test ! -e /srv/team
check "clamd was sent content" logs clamd 'instream([0-9.@]*): Eicar-Test.UNOFFICIAL FOUND'
check "c-icap was sent content" logs c-icap 'VIRUS DETECTED: Eicar-Test.UNOFFICIAL .*/invoice.com'
for file in invoice.com upload.com; do check "$file is in quarantine, with its record" quarantined "$file"; done
for service in clamd c-icap client; do check "$service does not run as root" not_root "$service"; done

headline "Scanner loss"
compose stop clamd
compose run --rm --no-deps client scanner-loss

headline "And back"
compose up --no-color --exit-code-from client
echo "tests/compose.sh: everything went as expected"
