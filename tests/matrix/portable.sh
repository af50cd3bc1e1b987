#!/bin/sh
# Builds the vscan.so that runs on every x86-64 Linux with glibc 2.28 or later, whatever glibc this machine has, and
# prints where it is. Needs Rust, libclang, Python with venv, and the network the first time.
set -eu
cd "$(dirname "$0")/../.."

floor=2.28
triple=x86_64-unknown-linux-gnu
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
tools=$target/portable-tools

# The linker and glibc's symbols by version come from zig.
if ! cmp -s tests/matrix/portable-requirements.txt "$tools/installed"; then
    rm -rf "$tools"
    /usr/bin/python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-input -r tests/matrix/portable-requirements.txt
    cp tests/matrix/portable-requirements.txt "$tools/installed"
fi

# The paths of this machine's folders would end up in the file, and make it differ from another machine's.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
RUSTFLAGS="--remap-path-prefix=$PWD=vscan --remap-path-prefix=$target=target --remap-path-prefix=$cargo_home=cargo \
    -C strip=symbols" \
    PATH=$tools/bin:$PATH cargo zigbuild --release --locked --package vscan --target "$triple.$floor" >&2
module=$target/$triple/release/libvscan.so

fail() {
    echo "tests/matrix/portable.sh: $1" >&2
    exit 1
}
newest=$(objdump -T "$module" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort -uV | tail -n 1)
[ "$(printf '%s\n' "$newest" "$floor" | sort -V | tail -n 1)" = "$floor" ] || fail "$module wants glibc $newest"
wanted=$(objdump -p "$module" | sed -n 's/^ *NEEDED *//p')
for library in $wanted; do
    case $library in
    libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux-x86-64.so.2 | libdl.so.2 | libpthread.so.0) ;;
    *) fail "$module wants $library" ;;
    esac
done
echo "$module"
