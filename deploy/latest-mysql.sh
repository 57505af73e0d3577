#!/usr/bin/env bash
# The MySQL of Debian unstable, on loopback, for `make test-latest`. Needs root on Debian.
#
#   deploy/latest-mysql.sh start      starts it unless it runs; prints its URL
#   deploy/latest-mysql.sh stop       stops it; its data stay
#   deploy/latest-mysql.sh destroy    stops it and REMOVES ITS DATA
set -euo pipefail

cd "$(dirname "$0")/.."
STATE=$(realpath -m .local/latest-mysql)
readonly STATE PORT=33970 START_SECONDS=120
# As the server sees them: it has them where it may write.
readonly PLACE=/var/lib/mysql-files/tickets

say() {
    echo "latest MySQL: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# shellcheck source=deploy/debian.sh
. deploy/debian.sh

answers() {
    chroot "$LATEST" mysqladmin --no-defaults --socket="$PLACE/socket" -u root ping >/dev/null 2>&1
}

start() {
    local password console="$STATE/console"
    make_latest
    mkdir -p "$STATE"
    [ -e "$STATE/password" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$STATE/password")
    password=$(cat "$STATE/password")
    if ! answers; then
        install -d -o "$(chroot "$LATEST" id -u mysql)" "$LATEST$PLACE"
        [ -e "$LATEST$PLACE/data" ] || chroot "$LATEST" mysqld --no-defaults --user=mysql \
            --datadir="$PLACE/data" --initialize-insecure >"$console" 2>&1 ||
            fail "its data could not be made; see $console"
        setsid --fork chroot "$LATEST" mysqld --no-defaults --user=mysql --datadir="$PLACE/data" \
            --socket="$PLACE/socket" --pid-file="$PLACE/pid" --bind-address=127.0.0.1 \
            --port="$PORT" --mysqlx=OFF --max-connections=2000 --innodb-buffer-pool-size=512M \
            >>"$console" 2>&1 </dev/null
        SECONDS=0
        until answers; do
            [ $SECONDS -lt $START_SECONDS ] || fail "does not answer; see $console"
            sleep 0.3
        done
        chroot "$LATEST" mysql --no-defaults --socket="$PLACE/socket" -u root <<SQL
CREATE USER IF NOT EXISTS 'tickets'@'%' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO 'tickets'@'%' WITH GRANT OPTION;
SQL
    fi
    say "$(chroot "$LATEST" mysqld --no-defaults --version) answers"
    echo "mysql://tickets:$password@127.0.0.1:$PORT"
}

stop() {
    local pid
    pid=$(cat "$LATEST$PLACE/pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do sleep 0.3; done
}

case "${1:-}" in
start) start ;;
stop) stop ;;
destroy)
    stop
    rm -rf "$LATEST$PLACE" "$STATE"
    ;;
*) fail "start, stop or destroy?" ;;
esac
