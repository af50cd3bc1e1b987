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
    find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /run -o -path /mnt -o -path /tmp -o -path /var/log \
        -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/samba -o -path /var/lib/clamav -o -path /srv \) -prune \
        -o -printf '%M %u %g %p\n' | sort
}
