#!/usr/bin/env bash
# A Docker engine of the project's own, for `make test-compose` on a Debian machine that has
# none and reaches no image registry: the engine of Debian unstable in a folder of its own.
# The images that docker-compose.yml and deploy/Dockerfile name are made of Debian packages,
# under the same names and with the same entrypoints' variables.
#
#   deploy/docker-engine.sh start       makes what is missing, starts it, says how to call it
#   deploy/docker-engine.sh stop        ends it and every container in it; its data stay
#   deploy/docker-engine.sh docker …    the client, in the folder `tree` of the engine
#
# Needs root. The engine has mount and process namespaces of its own, so that nothing of it
# outlives `stop`; it shares the network, because images are built from packages.
set -euo pipefail

cd "$(dirname "$0")/.."
ENGINE=$(realpath -m "${ENGINE_STATE:-/var/tmp/tickets-engine}")
readonly ENGINE ROOT="$ENGINE/engine" MADE="$ENGINE/made" BASE_IMAGE=tickets-test/distroless
RUST_IMAGE=$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' deploy/Dockerfile)
MYSQL_IMAGE=$(sed -n 's/^ *image: \(mysql:.*\)/\1/p' docker-compose.yml)
RABBITMQ_IMAGE=$(sed -n 's/^ *image: \(rabbitmq:.*\)/\1/p' docker-compose.yml)
readonly RUST_IMAGE MYSQL_IMAGE RABBITMQ_IMAGE

fail() {
    echo "docker-engine: $*" >&2
    exit 1
}

say() {
    echo "docker-engine: $*"
}

# shellcheck source=deploy/debian.sh
. deploy/debian.sh

make_engine() {
    [ ! -e "$ROOT.ready" ] || return 0
    bootstrap sid "$ENGINE/sid"
    rm -rf "$ROOT" && cp -a "$ENGINE/sid" "$ROOT"
    say "Docker"
    install_in "$ROOT" docker.io docker-cli docker-buildx docker-compose iptables procps
    touch "$ROOT.ready"
}

is_running() {
    [ -f "$ENGINE/pid" ] && grep -qzF "$ROOT" "/proc/$(cat "$ENGINE/pid")/cmdline" 2>/dev/null
}

start_engine() {
    ! is_running || return 0
    mkdir -p "$ROOT/tree" "$ENGINE/data" "$ROOT/var/lib/docker"
    rm -f "$ROOT/run/docker.pid" "$ROOT/run/docker.sock"
    # Its first process ends all others of the namespace with itself.
    setsid nohup unshare --mount --pid --fork --kill-child --propagation private \
        bash -euo pipefail -c '
            root=$1
            # dockerd wants its root to be a mount.
            mount --bind "$root" "$root"
            mount -t proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
            mount --rbind /sys "$root/sys"
            mount -t tmpfs tmpfs "$root/run"
            mount -t tmpfs tmpfs "$root/tmp"
            mount --bind "$2" "$root/var/lib/docker"
            cd "$root"
            pivot_root . mnt
            exec chroot . sh -c "umount -l /mnt && exec dockerd --log-level warn"
        ' bash "$ROOT" "$ENGINE/data" >"$ENGINE/log" 2>&1 </dev/null &
    echo $! >"$ENGINE/pid"
    local deadline=$((SECONDS + 60))
    until docker_in_engine info >/dev/null 2>&1; do
        is_running || fail "dockerd ended: $(tail -3 "$ENGINE/log")"
        [ $SECONDS -lt $deadline ] || fail "dockerd did not answer in 60 s; see $ENGINE/log"
        sleep 0.3
    done
}

stop_engine() {
    is_running || return 0
    local pid
    pid=$(cat "$ENGINE/pid")
    kill "$(namespace_init)" 2>/dev/null || kill "$pid"
    for _ in $(seq 100); do
        is_running || break
        sleep 0.2
    done
    ! is_running || kill -KILL "$pid"
    rm -f "$ENGINE/pid"
}

# dockerd: the child of `unshare`, and the first process of the namespace.
namespace_init() {
    pgrep -P "$(cat "$ENGINE/pid")"
}

docker_in_engine() {
    nsenter --target "$(namespace_init)" --mount --pid --root --wd env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        "${PASSED_ON[@]}" sh -c 'cd /tree && exec docker "$@"' sh "$@"
}

has_image() {
    docker_in_engine image inspect "$1" >/dev/null 2>&1
}

# Makes image $1 of folder $2; what follows are instructions of a Dockerfile.
import() {
    local image=$1 folder=$2 changes=() change
    shift 2
    for change in "$@"; do changes+=(--change "$change"); done
    say "image $image"
    tar -C "$folder" --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* \
        --exclude=./var/cache/apt/archives/*.deb --exclude=./var/lib/apt/lists/* -c . |
        docker_in_engine import "${changes[@]}" - "$image" >/dev/null
}

# What the published image has: no make, no git, no C++.
rust_image() {
    local folder="$MADE/rust" toolchain
    has_image "$RUST_IMAGE" && return
    bootstrap bookworm "$ENGINE/bookworm"
    rm -rf "$folder" && cp -a "$ENGINE/bookworm" "$folder"
    install_in "$folder" gcc libc6-dev
    toolchain=$(rustc --print sysroot)
    case "$RUST_IMAGE" in
    "rust:$(rustc --version | cut -d' ' -f2)-"*) ;;
    *) fail "this machine's $(rustc --version) is not the Rust of $RUST_IMAGE" ;;
    esac
    mkdir -p "$folder/usr/local/cargo/bin" "$folder/usr/local/toolchain"
    cp -a "$toolchain"/{bin,lib,libexec} "$folder/usr/local/toolchain/"
    ln -s ../../toolchain/bin/{cargo,rustc,rustdoc} "$folder/usr/local/cargo/bin/"
    import "$RUST_IMAGE" "$folder" \
        "ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        "ENV CARGO_HOME=/usr/local/cargo" "CMD [\"bash\"]"
    rm -rf "$folder"
}

# glibc, libgcc and certificates; neither a shell nor a package manager.
distroless_image() {
    local folder="$MADE/distroless" link path
    has_image "$BASE_IMAGE" && return
    bootstrap bookworm "$ENGINE/bookworm"
    rm -rf "$folder"
    mkdir -p "$folder"/{etc/ssl,tmp,home/nonroot,proc,sys,dev,run,var/tmp,usr/bin,usr/sbin,usr/lib,usr/lib64}
    # As in Debian, whose packages name both.
    for link in bin sbin lib lib64; do ln -s "usr/$link" "$folder/$link"; done
    chroot "$ENGINE/bookworm" dpkg -L libc6 libgcc-s1 tzdata | while read -r path; do
        if [ -f "$ENGINE/bookworm$path" ]; then echo ".$path"; fi
    done | tar -C "$ENGINE/bookworm" -c -T - | tar -C "$folder" -x
    cp -rL "$ENGINE/bookworm/etc/ssl/certs" "$folder/etc/ssl/"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$folder/etc/passwd"
    printf 'root:x:0:\nnonroot:x:65532:\n' >"$folder/etc/group"
    chmod 1777 "$folder/tmp"
    chown 65532:65532 "$folder/home/nonroot"
    import "$BASE_IMAGE" "$folder" "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" "USER 65532" "WORKDIR /home/nonroot"
    rm -rf "$folder"
}

mysql_image() {
    local folder="$MADE/mysql"
    has_image "$MYSQL_IMAGE" && return
    bootstrap sid "$ENGINE/sid"
    rm -rf "$folder" && cp -a "$ENGINE/sid" "$folder"
    install_in "$folder" mysql-server-core mysql-client
    chroot "$folder" sh -c 'getent passwd mysql >/dev/null || useradd --system --home /var/lib/mysql mysql'
    install -m 755 deploy/stand-ins/mysql.sh "$folder/usr/local/bin/docker-entrypoint.sh"
    rm -rf "$folder/var/lib/mysql" && mkdir -p "$folder/var/lib/mysql" "$folder/run/mysqld"
    chroot "$folder" chown mysql:mysql /var/lib/mysql /run/mysqld
    import "$MYSQL_IMAGE" "$folder" "ENTRYPOINT [\"docker-entrypoint.sh\"]" "CMD [\"mysqld\"]" \
        "VOLUME /var/lib/mysql" "EXPOSE 3306"
    rm -rf "$folder"
}

rabbitmq_image() {
    local folder="$MADE/rabbitmq"
    has_image "$RABBITMQ_IMAGE" && return
    bootstrap sid "$ENGINE/sid"
    rm -rf "$folder" && cp -a "$ENGINE/sid" "$folder"
    install_in "$folder" rabbitmq-server gosu
    install -m 755 deploy/stand-ins/rabbitmq.sh "$folder/usr/local/bin/docker-entrypoint.sh"
    mkdir -p "$folder/etc/rabbitmq/conf.d"
    printf '[rabbitmq_management].\n' >"$folder/etc/rabbitmq/enabled_plugins"
    rm -rf "$folder/var/lib/rabbitmq" && mkdir -p "$folder/var/lib/rabbitmq"
    chroot "$folder" chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /etc/rabbitmq
    import "$RABBITMQ_IMAGE" "$folder" "ENTRYPOINT [\"docker-entrypoint.sh\"]" \
        "CMD [\"rabbitmq-server\"]" "ENV HOME=/var/lib/rabbitmq" "VOLUME /var/lib/rabbitmq" "EXPOSE 5672"
    rm -rf "$folder"
}

[ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] || fail "needs root on Debian"

PASSED_ON=()
for name in $(compgen -e | grep -E '^(COMPOSE_|TICKETS_|BUILDKIT_|APP__)' || true); do
    PASSED_ON+=("$name=${!name}")
done

case "${1:-}" in
start)
    mkdir -p "$ENGINE" "$MADE"
    install_here "$ENGINE/apt.log" debootstrap iptables
    make_engine
    start_engine
    rust_image
    distroless_image
    mysql_image
    rabbitmq_image
    say "Engine $(docker_in_engine version --format '{{.Server.Version}}'), compose $(docker_in_engine compose version --short)"
    ;;
stop) stop_engine ;;
docker)
    is_running || fail "it does not run"
    shift
    docker_in_engine "$@"
    ;;
*) fail "say start, stop or docker" ;;
esac
