# Read by the other scripts: what they claim, they say; what is not so ends them.

right() { # what must be true, a test of it
    local claim=$1
    shift
    "$@" || {
        echo "WRONG: this is not so: $claim"
        exit 1
    }
    echo "right: $claim"
}

has() { # file, text
    grep -qF -e "$2" "$1" || {
        cat "$1"
        return 1
    }
}

# Every file there is, with its rights; but not what daemons and apt leave behind, which is not this package's.
files() {
    local path prune=()
    for path in /proc /dev /sys /run /mnt /tmp /srv /var/log /var/cache/apt /var/cache/ldconfig /var/cache/man \
        /var/cache/samba /var/lib/apt /var/lib/samba /var/lib/clamav; do
        prune+=(-path "$path" -prune -o)
    done
    find / -xdev "${prune[@]}" -printf '%M %u %g %p\n' | sort
}
