#!/bin/bash
# Builds the Debian package from what packaging/portable.sh builds, and prints where it is. It serves every Debian with
# Samba 4.13 or later.
#   packaging/deb.sh              # for this machine's architecture
#   packaging/deb.sh aarch64      # for another one
# What is in it, and what it depends on, is in Cargo.toml; its scripts are in packaging/debian.
set -eu
cd "$(dirname "$0")/.."

architecture=${1:-$(uname -m)}
version=3.8.0

command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
tools=$target/deb-tools
[ -x "$tools/bin/cargo-deb" ] && [ "$("$tools/bin/cargo-deb" --version)" = "cargo-deb $version" ] ||
    cargo install --quiet --locked --root "$tools" "cargo-deb@$version" >&2

built=$(packaging/portable.sh "$architecture")
# Cargo.toml names the files from here.
stage=packaging/built
rm -rf "$stage"
mkdir -p "$stage/lib/$architecture-linux-gnu/samba/vfs"
cp "$built"/* "$stage"
mv "$stage/vscan.so" "$stage/lib/$architecture-linux-gnu/samba/vfs"
# By a vscanctl for this machine: the one in the package may be for another.
for shell in bash zsh fish; do
    cargo run --quiet --locked --package vscanctl -- completions "$shell" >"$stage/completions.$shell"
done

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
mkdir -p "$target/debian"
"$tools/bin/cargo-deb" --no-build --no-strip --no-dbgsym --package vscan --target "$architecture-unknown-linux-gnu" \
    --output "$target/debian/"
