# shellcheck shell=bash
# Debian in a folder of its own. To be sourced by a script of bash that has `fail` and `say`.
# Needs root and debootstrap.

# The machine's own mirror, whatever it is.
mirror() {
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources | head -1
}

# Packages of this machine that a script needs, unless they are there. $1 is apt's log.
install_here() {
    local log=$1 missing=() name
    shift
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q ' installed$' ||
            missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    apt-get update -qq >"$log" 2>&1 || fail "apt-get update failed: $(tail -3 "$log")"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >"$log" 2>&1 || fail "apt-get failed: $(tail -5 "$log")"
}

# A minimal Debian of release $1 in folder $2, with this machine's certificates.
bootstrap() {
    [ ! -e "$2.done" ] || return 0
    rm -rf "$2"
    say "a minimal Debian $1"
    debootstrap --variant=minbase --include=ca-certificates "$1" "$2" "$(mirror)" \
        >"$2.log" 2>&1 || fail "debootstrap failed: $(tail -3 "$2.log")"
    cp -r /usr/local/share/ca-certificates "$2/usr/local/share/"
    chroot "$2" update-ca-certificates >>"$2.log" 2>&1
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod 755 "$2/usr/sbin/policy-rc.d"
    echo 'Acquire::Check-Valid-Until "false";' >"$2/etc/apt/apt.conf.d/90snapshot"
    touch "$2.done"
}

# Packages in a folder that `bootstrap` made.
install_in() {
    local folder=$1
    shift
    cp /etc/resolv.conf "$folder/etc/resolv.conf"
    # In a namespace of its own, so that no mount is left behind by a failure.
    # shellcheck disable=SC2016 # the inner shell has its own arguments
    unshare --mount --propagation private bash -euo pipefail -c '
        folder=$1; shift
        mount -t proc proc "$folder/proc"
        mount --rbind /dev "$folder/dev"
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C
        chroot "$folder" apt-get update -qq
        chroot "$folder" apt-get install -y -qq --no-install-recommends "$@"
    ' bash "$folder" "$@" >"$folder.apt.log" 2>&1 ||
        fail "apt-get install $* failed: $(tail -3 "$folder.apt.log")"
}

# Debian unstable with the latest servers, made once, in the folder `$LATEST`: several scripts
# run what is in it, each with mounts of its own.
LATEST=$(realpath -m "${TICKETS_LATEST:-/var/tmp/tickets-latest}")

make_latest() {
    if [ -e "$LATEST.ready" ]; then
        # Debian's erl_call needs this machine's name to lead to an address.
        cp /etc/hosts "$LATEST/etc/hosts"
        return 0
    fi
    mkdir -p "$(dirname "$LATEST")"
    (
        flock 8
        [ ! -e "$LATEST.ready" ] || exit 0
        install_here "$LATEST.apt.log" debootstrap
        bootstrap sid "$LATEST"
        say "the latest MySQL and RabbitMQ, from Debian unstable in $LATEST"
        install_in "$LATEST" rabbitmq-server mysql-server
        cp /etc/hosts "$LATEST/etc/hosts"
        touch "$LATEST.ready"
    ) 8>"$LATEST.lock"
}
