#!/bin/bash
# One vscan.so in the smbd of each Debian release that vscan serves: runs the core claims in all of them, prints a table,
# and fails if a claim does. Run as root, after tests/setup.sh.
#   tests/matrix.sh                     # all releases
#   tests/matrix.sh bullseye forky      # these; "native" is the machine's own Samba
#   tests/matrix.sh ci                  # the least that every change must pass: oldest, native and newest, a few claims
# VSCAN_MODULE names a vscan.so to test instead of the portable build; VSCAN_MATRIX_CLAIMS other claims (words of their
# names). tests/matrix/root.sh says where the releases are kept.
set -eu
cd "$(dirname "$0")/.."

releases=("$@")
claims="verdicts:: actions:: cache:: close_scans:: parked:: ends:: smb1:: samba_4_13_alone"
case $* in
"") releases=(bullseye bookworm bookworm-backports trixie trixie-backports forky) ;;
ci)
    releases=(bullseye native forky)
    claims="an_infected_file_cannot_be_read an_infected_upload_is_caught an_infected_file_goes_to_quarantine
        a_clean_file_is_scanned_once parked::"
    ;;
esac
read -rd '' -a claims <<<"${VSCAN_MATRIX_CLAIMS:-$claims}" || :

# What Samba itself does otherwise in a release: docs/matrix.md says more.
skipped() {
    case $1 in
    # Samba 4.13 refuses a durable handle whose file was written, and crashes when a channel is lost that has opens waiting:
    # without vscan, too, which is what `samba_4_13_alone` claims.
    bullseye)
        echo "a_durable_handle_is_taken_up_again_after_its_file_was_scanned_meanwhile"
        echo "a_lost_channel_does_not_take_the_scan_from_the_other"
        ;;
    *) ;;
    esac
}

# Prints where a release's file system is.
make_root() {
    if [ "$1" = native ]; then echo /; else tests/matrix/root.sh "$1"; fi
}

command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
# While this machine builds, the roots are fetched. What fails here is tried again, and told, below.
for release in "${releases[@]}"; do make_root "$release"; done >/dev/null 2>&1 &
trap wait EXIT
logs=${VSCAN_MATRIX:-/var/cache/vscan-matrix}/logs
mkdir -p "$logs"
# A copy: what is built meanwhile is not what is tested.
module=$logs/vscan.so
built=${VSCAN_MODULE:-$(packaging/portable.sh)/vscan.so}
install -m 644 "$built" "$module"
listed=$(cargo test --quiet --locked --package vscan-tests --test claims -- --list "${claims[@]}")
checksum=$(sha256sum "$module" | cut -d ' ' -f 1)

table=("| Release | Samba | glibc | claims passed | failed | skipped |" "|---|---|---|---|---|---|")
status=0
for release in "${releases[@]}"; do
    echo "==== $release" >&2
    if ! root=$(make_root "$release"); then
        table+=("| $release | no root file system | | | | |")
        status=1
        continue
    fi
    samba=$(chroot "$root" smbd --version)
    glibc=$(chroot "$root" ldd --version | sed -n '1s/.* //p')
    log=$logs/$release.log
    settings=("VSCAN_MODULE=$module")
    [ "$root" = / ] || settings+=("VSCAN_ROOT=$root")
    skip=()
    for name in $(skipped "$release"); do
        [[ $listed != *"::$name: test"* ]] || skip+=(--skip "$name")
    done
    env "${settings[@]}" cargo test --locked --package vscan-tests --test claims -- --test-threads 4 \
        "${claims[@]}" "${skip[@]}" >"$log" 2>&1 </dev/null || status=1
    result=$(grep '^test result:' "$log" || :)
    count() { sed -n "s/.* \([0-9]*\) $1.*/\1/p" <<<"$result"; }
    if [ -z "$result" ] || [ "$(count passed)" = 0 ]; then
        status=1
        echo "no claim has run: see $log" >&2
    fi
    grep '^test .* FAILED$' "$log" >&2 || :
    table+=("| $release | ${samba#Version } | $glibc | $(count passed) | $(count failed) | $((${#skip[@]} / 2)) |")
done

echo "vscan.so, sha256 $checksum"
printf '%s\n' "${table[@]}"
[ $status = 0 ] || echo "tests/matrix.sh: not every claim holds: see $logs" >&2
exit $status
