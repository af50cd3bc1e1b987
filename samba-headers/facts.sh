#!/bin/bash
# Asks a C compiler for the numbers of one Samba, and prints the header for it. If this folder has a header for the same
# interface, compares them, and fails if they differ.
#   samba-headers/facts.sh /src/samba-4.17.12              # the header
#   samba-headers/facts.sh /src/samba-4.17.12 reference    # the column for reference.tsv
# The tree must be configured; README.md says how, and what of it is enough. It need not be built: the headers that
# Samba's build writes are made as they are needed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tree=${1:?usage: samba-headers/facts.sh SAMBA_TREE [reference]}
wanted=${2:-header}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "samba-headers/facts.sh: $1" >&2
    exit 1
}

cd "$tree"
[ -e bin/default/include/config.h ] || [ -e bin/c4che ] || fail "$tree is not configured: see samba-headers/README.md"

# ---- The program that prints the numbers: all rows of reference.tsv.

expression() {
    case $1 in
    interface) echo SMB_VFS_INTERFACE_VERSION ;;
    sizeof.*) echo "sizeof(struct ${1#sizeof.})" ;;
    slot.*) echo "offsetof(struct vfs_fn_pointers, ${1#slot.}_fn) / sizeof(void *)" ;;
    *) echo "offsetof(struct ${1%%.*}, ${1#*.})" ;;
    esac
}

{
    echo '#include "includes.h"'
    echo '#include "smbd/smbd.h"'
    echo '#include "smbd/globals.h"'
    echo '#undef printf'
    echo 'int main(void) {'
    sed -e '/^#/d' -e '/^release/d' -e 's/\t.*//' "$here/reference.tsv" | while read -r row; do
        printf '    printf("%s\\t%%zu\\n", (size_t)(%s));\n' "$row" "$(expression "$row")"
    done
    echo '    return 0;'
    echo '}'
} >"$work/probe.c"

folders=(bin/default/source3/include bin/default/include bin/default/source3 bin/default
    source3/include source3 lib/replace lib/talloc lib/tevent lib/tdb/include lib include . source4 source4/lib)
compile=(cc -DHAVE_CONFIG_H=1 -D_GNU_SOURCE -D__STDC_WANT_LIB_EXT1__=1 "${folders[@]/#/-I}")

# ---- The headers that Samba's build writes, as far as the program includes them.

# What is included and not there; the compiler is not asked for more, since a header may include further ones.
missing() {
    local name
    "${compile[@]}" -M -MG "$work/probe.c" | tr -s ' \\' '\n' | grep '\.h$' | sort -u | while read -r name; do
        [ -e "$name" ] || echo "$name"
    done
}

# What Samba's build calls the step that writes a header.
target() {
    local name
    name=$(basename "$1" .h)
    case $1 in
    */gen_ndr/*) name=${name#ndr_} && echo "PIDL_${name^^}" ;;
    */ntstatus_gen.h) echo ntstatus_generated ;;
    */werror_gen.h) echo werror_generated ;;
    */param_proto.h) echo s3_param_proto_h ;;
    *) basename "$1" ;;
    esac
}

before=
while absent=$(missing) && [ -n "$absent" ]; do
    [ "$absent" != "$before" ] || fail "cannot make $(echo "$absent" | tr '\n' ' '): see above"
    before=$absent
    targets=$(for name in $absent; do target "$name"; done | sort -u | paste -sd ,)
    echo "samba-headers/facts.sh: making $targets" >&2
    PYTHONHASHSEED=1 WAF_MAKE=1 ./buildtools/bin/waf build --targets="$targets" >"$work/waf.log" 2>&1 || {
        cat "$work/waf.log" >&2
        fail "Samba's build cannot make $targets"
    }
done

# It is compiled, not linked with anything of Samba's.
"${compile[@]}" -w -o "$work/probe" "$work/probe.c" || fail "Samba's headers do not compile, or a member has gone"
"$work/probe" >"$work/numbers"

# ---- The answers.

number() {
    sed -n "s/^$1\t//p" "$work/numbers"
}
version() {
    sed -n "s/^SAMBA_VERSION_$1=//p" VERSION
}
# Whether the arguments of a function of the table hold a word.
takes() {
    sed -n "/(\*$1)(/,/);/p" source3/include/vfs.h | grep -qw "$2" && echo 1 || echo 0
}

interface=$(number interface)
minor=$(version MINOR)
release=$(version MAJOR).$minor.$(version RELEASE)

header() {
    local macro row
    # In the order and with the text of the newest header.
    while IFS= read -r line; do
        case $line in
        '// Samba '*) echo "// Samba ${release%.*}. README.md in this folder says how these numbers are found." ;;
        '#define VFS_INTERFACE '*) echo "#define VFS_INTERFACE $interface" ;;
        '#define SAMBA_MINOR_'*) echo "${line% *} $minor" ;;
        '#define CREATE_FILE_TAKES_DIRFSP '*) echo "${line% *} $(takes create_file_fn dirfsp)" ;;
        '#define OPENAT_TAKES_HOW '*) echo "${line% *} $(takes openat_fn vfs_open_how)" ;;
        '#define '*)
            macro=${line#\#define }
            macro=${macro% *}
            row=$(awk -F '\t' -v macro="$macro" '{
                name = $1; sub(/^sizeof/, "size", name); gsub(/\./, "_", name)
                if (toupper(name) == macro) print $2 }' "$work/numbers")
            [ -n "$row" ] || fail "$macro has no row in reference.tsv"
            echo "#define $macro $row"
            ;;
        *) echo "$line" ;;
        esac
    done <"$(find "$here" -name 'vfs-*.h' | sort | tail -n 1)"
}

header >"$work/header"
case $wanted in
header) cat "$work/header" ;;
reference) echo "release	$release" && cat "$work/numbers" ;;
*) fail "what is \"$wanted\"? Give nothing, or: reference" ;;
esac

committed=$here/vfs-$interface.h
[ -e "$committed" ] || {
    echo "samba-headers/facts.sh: interface $interface of Samba $release is new: there is no vfs-$interface.h yet" >&2
    exit
}
facts() {
    grep '^#define ' "$1" | grep -v '^#define SAMBA_MINOR_'
}
diff <(facts "$committed") <(facts "$work/header") >&2 || fail "Samba $release is not what vfs-$interface.h says (<)"
echo "samba-headers/facts.sh: Samba $release has the $(facts "$committed" | wc -l) facts of vfs-$interface.h" >&2
minors() {
    sed -n "s/^#define SAMBA_MINOR_$1 //p" "$committed"
}
[ "$minor" -ge "$(minors FIRST)" ] && [ "$minor" -le "$(minors LAST)" ] ||
    fail "vfs-$interface.h is not for Samba ${release%.*} yet: raise SAMBA_MINOR_LAST"
