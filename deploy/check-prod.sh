#!/usr/bin/env bash
# Proves that `make prod` forgets nothing that it has accepted. A new broker is killed the moment
# it has confirmed its first order; both servers are killed with an order that nobody has
# decided; then only the broker is; then the start itself is interrupted; then the folder is
# moved. Each time the same command starts them again.
# On servers and with secrets of its own, which it removes at the end.
set -euo pipefail

cd "$(dirname "$0")/.."
export SERVICES_STATE=.local/check-prod PROD_ENV=.local/check-prod.secrets
export APP__STORE__SEED_DEMO=true APP__LOG__FORMAT=text
# Whatever the caller's environment names, this sells in nobody's database.
unset APP__MYSQL__URL APP__RABBITMQ__URL
mkdir -p .local
printf 'APP__TICKETS__ID_SECRETS=only-for-this-check\nAPP__ADMIN__TOKEN=only-for-this-check\n' \
    >"$PROD_ENV"
port=13001
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
export APP__SERVER__PORT=$port APP__METRICS__PORT=0
log=$(mktemp)
process=

fail() {
    echo "check-prod: $*" >&2
    tail -20 "$log" >&2
    exit 1
}

finish() {
    stop_service
    deploy/services.sh destroy
    rm -rf "$log" "$PROD_ENV" .local/check-copied
}

# With a role as `make prod` would, were it more than one process.
start_service() {
    deploy/prod.sh serve --role "$1" >>"$log" 2>&1 &
    process=$!
    for _ in $(seq 1200); do
        curl -fsS "http://127.0.0.1:$port/health/ready" >/dev/null 2>&1 && return
        kill -0 "$process" 2>/dev/null || fail "the service ended"
        sleep 0.1
    done
    fail "the service is not ready"
}

# Ends a start of the servers after so many seconds.
interrupt_a_start() {
    local starting
    deploy/services.sh >>"$log" 2>&1 &
    starting=$!
    sleep "$1"
    kill "$starting" 2>/dev/null || true
    wait "$starting" || true
}

stop_service() {
    [ -n "$process" ] || return 0
    kill "$process" 2>/dev/null || true
    wait "$process" || true
    process=
}

ordered() {
    curl -fsS -X POST "http://127.0.0.1:$port/tickets" -H 'Content-Type: application/json' \
        -d '{"show_id": "230920", "user_id": 1}' | sed 's/.*"ticket_id":"\([^"]*\)".*/\1/'
}

status() {
    curl -fsS "http://127.0.0.1:$port/tickets/$1" | sed 's/.*"status":"\([^"]*\)".*/\1/'
}

database_process() {
    (
        # shellcheck source=/dev/null
        . "$SERVICES_STATE/places" # says where the data are
        cat "$data/mariadb/pid"
    )
}

verdict() {
    for _ in $(seq 600); do
        [ "$(status "$1")" = processing ] || break
        sleep 0.1
    done
    [ "$(status "$1")" = confirmed ] || fail "$2: order $1 is $(status "$1")"
}

trap finish EXIT
# What a check before this one has left, had it been killed.
for state in .local/check-prod .local/check-moved; do
    SERVICES_STATE=$state deploy/services.sh destroy >/dev/null
done
rm -rf .local/check-copied

# The first start of all is interrupted. What a broker has just made and confirmed outlives it.
interrupt_a_start 3
start_service api
first=$(ordered)
deploy/services.sh kill rabbitmq
stop_service
start_service all
verdict "$first" "accepted by a new broker, which was killed at once"
decided=$(ordered)
verdict "$decided" "at first"
stop_service
start_service api
waiting=$(ordered)
[ "$(status "$waiting")" = processing ] || fail "decided without a worker"
stop_service

deploy/services.sh kill mariadb
deploy/services.sh kill rabbitmq
start_service all
verdict "$decided" "after both servers were killed"
verdict "$waiting" "accepted before both servers were killed"
stop_service

database=$(database_process)
deploy/services.sh kill rabbitmq
start_service all
verdict "$decided" "after the broker was killed"
[ "$(database_process)" = "$database" ] || fail "the database was touched"
stop_service

deploy/services.sh kill mariadb
deploy/services.sh kill rabbitmq
interrupt_a_start 2
start_service all
verdict "$decided" "after an interrupted start"
stop_service

deploy/services.sh stop
start_service all
verdict "$decided" "after an orderly stop"
stop_service

deploy/services.sh stop
cp -a .local/check-prod .local/check-copied
! SERVICES_STATE=.local/check-copied deploy/services.sh destroy 2>>"$log" ||
    fail "a copy could remove what it was copied from"
mv .local/check-prod .local/check-moved
export SERVICES_STATE=.local/check-moved
start_service all
verdict "$decided" "after the folder was moved"
echo "check-prod: nothing was forgotten"
