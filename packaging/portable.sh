#!/bin/bash
# Builds what runs on every Linux with glibc 2.28 or later (Debian 10, RHEL 8), whatever glibc this machine has: the same
# bytes from the same source and the same Rust, in whatever folder. Checks what it has built, and prints the folder where
# that is.
#   packaging/portable.sh              # for this machine's architecture
#   packaging/portable.sh aarch64      # for another one: `rustup target add aarch64-unknown-linux-gnu` first
# Needs Rust, libclang, binutils, Python with venv, and the network the first time.
set -eu
cd "$(dirname "$0")/.."

# The packages of this workspace that are installed. Each is built by itself: what one needs changes no other.
products=(vscan vscanctl vscan-notify)
floor=2.28

architecture=${1:-$(uname -m)}
triple=$architecture-unknown-linux-gnu

fail() {
    echo "packaging/portable.sh: $1" >&2
    exit 1
}

command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
[ -d "$(rustc --print target-libdir --target "$triple" 2>/dev/null)" ] ||
    fail "this Rust does not build for $triple: rustup target add $triple"

target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
tools=$target/portable-tools
out=$target/portable/$architecture

# The linker, the C compiler and glibc's symbols by version come from zig.
if ! cmp -s packaging/portable-requirements.txt "$tools/installed"; then
    rm -rf "$tools"
    /usr/bin/python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-input -r packaging/portable-requirements.txt
    cp packaging/portable-requirements.txt "$tools/installed"
fi

# The paths of this machine's folders would end up in the files, and make them differ from another machine's. Those of the
# standard library do where its source is installed.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
standard=$(rustc --print sysroot)/lib/rustlib/src/rust
commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
flags=(
    "--remap-path-prefix=$PWD=vscan"
    "--remap-path-prefix=$target=target"
    "--remap-path-prefix=$cargo_home=cargo"
    "--remap-path-prefix=$standard=/rustc/$commit"
    -Cstrip=symbols
    -Clink-arg=-Wl,--build-id=none
)
separated=$(printf '%s\037' "${flags[@]}")
export CARGO_ENCODED_RUSTFLAGS=${separated%?}
export CFLAGS="-ffile-prefix-map=$cargo_home=cargo"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

# Nothing newer than the floor, nothing beyond libc and its parts, and no place of its own to look for libraries.
check() {
    local newest library
    newest=$(readelf --wide --version-info "$1" | sed -n 's/.*Name: GLIBC_\([^ ]*\).*/\1/p' | sort -uV | tail -n 1)
    [ -n "$newest" ] || fail "$1 says nothing of glibc: is it what it should be?"
    [ "$(printf '%s\n' "$newest" "$floor" | sort -V | tail -n 1)" = "$floor" ] || fail "$1 wants glibc $newest"
    for library in $(readelf --wide --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        case $library in
        libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux*.so.* | libdl.so.2 | libpthread.so.0) ;;
        *) fail "$1 wants $library" ;;
        esac
    done
    if readelf --wide --dynamic "$1" | grep -E '\((RPATH|RUNPATH)\)' >&2; then fail "$1 names its own folder of libraries"; fi
    if readelf --wide --sections "$1" | grep -E ' \.(symtab|debug_info) ' >&2; then fail "$1 is not stripped"; fi
    if grep -aFo -e "$PWD/" -e "$target/" -e "$cargo_home/" "$1" >&2; then fail "$1 tells of this machine's folders"; fi
}

rm -rf "$out"
mkdir -p "$out"
for product in "${products[@]}"; do
    PATH=$tools/bin:$PATH cargo zigbuild --release --locked --package "$product" --target "$triple.$floor" >&2
    built=$target/$triple/release
    if [ -e "$built/lib$product.so" ]; then
        install -m 644 "$built/lib$product.so" "$out/$product.so"
        check "$out/$product.so"
    else
        install -m 755 "$built/$product" "$out/$product"
        check "$out/$product"
    fi
done
echo "$out"
