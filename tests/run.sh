#!/bin/bash
# Installs what is missing and runs the demo, all tests, every fuzz target for a moment, and a few of them in other releases' Samba. Run as root on Debian 12 or 13 with Rust; needs no terminal.
set -eu
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null || { echo "tests/run.sh: there is no Rust here: see https://rustup.rs" >&2; exit 1; }
export CARGO_TERM_COLOR=never
exec </dev/null

headline() { printf '\n==== %s\n' "$*"; }

headline "Installing what is missing"
tests/setup.sh
# A Rust of the minimal profile has neither.
cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy

headline "Format"
cargo fmt --all --check

headline "Lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

headline "The demo"
tests/demo.sh

headline "Tests"
cargo test --workspace --locked

headline "The claims that take a minute"
cargo test --package vscan-tests --test claims --locked -- --ignored a_minute

headline "Every fuzz target, for a moment"
command -v cargo-fuzz >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo-fuzz >/dev/null || cargo install --locked --quiet cargo-fuzz
fuzz/run.sh 2

headline "The oldest and the newest Samba, and this one, with one vscan.so"
tests/matrix.sh ci
