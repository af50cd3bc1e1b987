#!/bin/bash
# Fuzzes every scanner's dialogue for so many seconds each, the recorded dialogues first: `fuzz/run.sh 600`, or some of
# them: `fuzz/run.sh 600 icap sssp`. Needs `cargo install cargo-fuzz` and a C++ compiler; a stable Rust will do.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:?usage: fuzz/run.sh <seconds> [scanner...]}
shift
[ $# -gt 0 ] || set -- $(cargo fuzz list)

cargo run --quiet --locked -p vscan-backends --example seeds --features fuzzing -- fuzz/corpus
failed=()
for target in "$@"; do
    printf '\n==== %s\n' "$target"
    # Longer answers than 4096 bytes differ from those only in their length, and unit tests try that.
    cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
        || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { printf '\nbroken promises: %s\n' "${failed[*]}" >&2; exit 1; }
