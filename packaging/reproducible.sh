#!/bin/bash
# Builds the last commit twice, in two clones at different places and with different homes of cargo, and compares: the
# checksums must be the same. Needs what packaging/portable.sh needs, and some GB in TMPDIR for as long as it takes.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
unset CARGO_TARGET_DIR

build() {
    git clone --quiet . "$1/vscan"
    CARGO_HOME=$1/cargo "$1/vscan/packaging/portable.sh" >"$1.out"
    (cd "$(cat "$1.out")" && sha256sum -- *) >"$1.sums"
    rm -rf "${1:?}"
}
mkdir "$work/one" "$work/another-place"
build "$work/one"
build "$work/another-place"
cat "$work/one.sums"
cmp "$work/one.sums" "$work/another-place.sums" || {
    cat "$work/another-place.sums"
    echo "packaging/reproducible.sh: two builds of one source differ" >&2
    exit 1
}
