#!/usr/bin/env bash
# Finds or starts the real servers that tests and `make prod` need, and writes
# where they are to .local/services.env. Running it again is cheap.
#
#   1. What TICKETS_TEST_MYSQL_URL and TICKETS_TEST_RABBITMQ_URL name, if set.
#   2. What an earlier run started, if it still answers.
#   3. Containers, if a Docker engine answers.
#   4. Debian's packages, if this is Debian and we are root.
#
# Everything listens on loopback only. `deploy/services.sh stop` ends what 4. started.
#
# With SERVICES_STATE=FOLDER they are others, that nobody else uses: only 2. and 4.,
# what they are is kept in FOLDER, and where in FOLDER.env. Those can be broken, too:
#
#   SERVICES_STATE=FOLDER deploy/services.sh kill mariadb|rabbitmq    SIGKILL
#   SERVICES_STATE=FOLDER deploy/services.sh start mariadb|rabbitmq   again, on its data
set -euo pipefail

cd "$(dirname "$0")/.."
STATE=$(realpath -m "${SERVICES_STATE:-.local/services}")
readonly STATE ENV_FILE="$STATE.env" SHARED="$PWD/.local/services"
# Of the servers that 4. started: where their data is, and their ports.
readonly PLACES="$STATE/places"
readonly MYSQL_IMAGE="mysql:8.4" RABBITMQ_IMAGE="rabbitmq:4.1-management"

fail() {
    echo "services: $*" >&2
    exit 1
}

# Whether something listens at HOST:PORT of a URL such as amqp://user:pw@host:1234/x.
answers() {
    local authority=${1#*://}
    authority=${authority##*@}
    authority=${authority%%/*}
    timeout 2 bash -c "exec 3<>/dev/tcp/${authority%:*}/${authority##*:}" 2>/dev/null
}

# Asked for below 32768, where the system gives no ports to outgoing
# connections: a closed one of those keeps its port for a minute, unseen here.
free_port() {
    local port=$1
    while answers "tcp://127.0.0.1:$port"; do port=$((port + 1)); done
    echo "$port"
}

# Runs a command until it succeeds, for at most $1 seconds.
wait_for() {
    local seconds=$1 deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "gave up after $seconds s: $*"
        sleep 0.3
    done
}

secret() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

write_env() {
    (
        umask 077
        printf 'TICKETS_TEST_MYSQL_URL=%s\nTICKETS_TEST_RABBITMQ_URL=%s\n' "$1" "$2" >"$ENV_FILE"
    )
    echo "services: MySQL and RabbitMQ answer; see ${ENV_FILE#"$PWD"/}"
}

with_docker() {
    local mysql_port rabbitmq_port password
    mysql_port=$(free_port 13306) rabbitmq_port=$(free_port 14672) password=$(secret)
    docker rm -f tickets-mysql tickets-rabbitmq >/dev/null 2>&1 || true
    docker run -d --name tickets-mysql -p "127.0.0.1:$mysql_port:3306" \
        -e MYSQL_ROOT_PASSWORD="$password" "$MYSQL_IMAGE" \
        --innodb-buffer-pool-size=1G --innodb-redo-log-capacity=512M >/dev/null
    docker run -d --name tickets-rabbitmq -p "127.0.0.1:$rabbitmq_port:5672" \
        "$RABBITMQ_IMAGE" >/dev/null
    wait_for 180 docker exec tickets-mysql mysql -h127.0.0.1 -uroot "-p$password" -e 'SELECT 1'
    wait_for 180 docker exec tickets-rabbitmq rabbitmq-diagnostics -q check_port_connectivity
    write_env "mysql://root:$password@127.0.0.1:$mysql_port" \
        "amqp://guest:guest@127.0.0.1:$rabbitmq_port"
}

install_packages() {
    local missing=()
    [ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server)
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
    # For a baseline only, which starts it itself.
    [ -x /usr/bin/redis-server ] || missing+=(redis-server)
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "services: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$STATE/apt.log" 2>&1 ||
        fail "apt-get failed: $(tail -5 "$STATE/apt.log")"
}

# The servers run as users of their own, which must get through to their data:
# below a private folder, such as a temporary one, they don't.
data_folder() {
    local parent=$STATE
    while [ "$parent" != / ]; do
        if [ "$(stat -c %A "$parent" | cut -c10)" != x ]; then
            parent=$(mktemp -d /var/tmp/tickets-services.XXXXXX)
            chmod 755 "$parent"
            echo "$parent"
            return
        fi
        parent=$(dirname "$parent")
    done
    echo "$STATE"
}

new_mariadb() {
    local dir="$data/mariadb" password
    password=$(secret)
    rm -rf "$dir" && mkdir -p "$dir/data"
    chown -R mysql "$dir"
    mariadb-install-db --no-defaults --user=mysql --datadir="$dir/data" \
        --auth-root-authentication-method=normal --skip-test-db >"$dir/install.log" 2>&1 ||
        fail "mariadb-install-db failed: $(tail -5 "$dir/install.log")"
    start_mariadb
    mariadb --no-defaults --socket="$dir/socket" -uroot <<SQL
CREATE USER 'tickets'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'tickets'@'%';
SQL
    mysql_url="mysql://tickets:$password@127.0.0.1:$mariadb_port"
}

# On the data that it has.
start_mariadb() {
    local dir="$data/mariadb"
    # What an end without notice has left must not be taken for signs of life.
    rm -f "$dir/pid" "$dir/socket"
    setsid nohup mariadbd --no-defaults --user=mysql --datadir="$dir/data" \
        --bind-address=127.0.0.1 --port="$mariadb_port" --socket="$dir/socket" \
        --pid-file="$dir/pid" --max-connections=400 \
        --innodb-buffer-pool-size=1G --innodb-log-file-size=512M \
        >>"$dir/log" 2>&1 </dev/null &
    wait_for 60 mariadb-admin --no-defaults --socket="$dir/socket" -uroot ping
    cp "$dir/pid" "$STATE/mariadb.pid"
}

new_rabbitmq() {
    local dir="$data/rabbitmq"
    rm -rf "$dir" && mkdir -p "$dir"
    printf '[].\n' >"$dir/plugins"
    : >"$dir/rabbitmq.conf"
    chown -R rabbitmq "$dir"
    start_rabbitmq
    rabbitmq_url="amqp://guest:guest@127.0.0.1:$rabbitmq_port"
}

# On the data that it has.
start_rabbitmq() {
    local dir="$data/rabbitmq"
    rm -f "$dir/pid" "$dir/console"
    # The package's own start goes through su, which caps open files at 1024.
    ulimit -n 20000 2>/dev/null || true
    env HOME=/var/lib/rabbitmq RABBITMQ_NODENAME="tickets$rabbitmq_port@localhost" \
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$rabbitmq_port" \
        RABBITMQ_DIST_PORT="$rabbitmq_dist_port" RABBITMQ_MNESIA_BASE="$dir/data" \
        RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" RABBITMQ_PID_FILE="$dir/pid" \
        ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
        setsid nohup setpriv --reuid rabbitmq --regid rabbitmq --init-groups \
        /usr/lib/rabbitmq/bin/rabbitmq-server >"$dir/console" 2>&1 </dev/null &
    # The port opens before the broker takes logins; its log says when it does.
    wait_for 120 grep -q "completed with" "$dir/console"
    wait_for 20 answers "tcp://127.0.0.1:$rabbitmq_port"
    cp "$dir/pid" "$STATE/rabbitmq.pid"
}

with_debian() {
    local mysql_url rabbitmq_url
    data=$(data_folder)
    mariadb_port=$(free_port 13306)
    rabbitmq_port=$(free_port 14672) rabbitmq_dist_port=$(free_port 14673)
    [ "$rabbitmq_dist_port" != "$rabbitmq_port" ] ||
        rabbitmq_dist_port=$(free_port $((rabbitmq_port + 1)))
    printf 'data=%q mariadb_port=%s rabbitmq_port=%s rabbitmq_dist_port=%s\n' \
        "$data" "$mariadb_port" "$rabbitmq_port" "$rabbitmq_dist_port" >"$PLACES"
    install_packages
    new_mariadb
    new_rabbitmq
    write_env "$mysql_url" "$rabbitmq_url"
}

# The process of one of the servers that 4. started, if it runs: a number alone
# may be that of another process by now.
process_of() {
    local pid
    pid=$(cat "$STATE/$1.pid" 2>/dev/null) || return 1
    # The broker's command line does not say where its data is.
    grep -qzF "$data/$1" "/proc/$pid/cmdline" "/proc/$pid/environ" 2>/dev/null && echo "$pid"
}

stop_started() {
    local server pid
    for server in mariadb rabbitmq; do
        if pid=$(process_of "$server"); then
            kill "$pid"
            wait_for 60 is_gone "$pid"
        fi
        rm -f "$STATE/$server.pid"
    done
    rm -f "$ENV_FILE"
}

# Ends one that nobody else uses, as a crash would, and waits until it is gone.
kill_server() {
    local pid
    pid=$(process_of "$1") || fail "$1 does not run"
    kill -KILL "$pid"
    wait_for 10 is_gone "$pid"
}

# One that has ended and that nobody has asked for its end is gone, too.
is_gone() {
    ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null
}

data=$STATE
# shellcheck source=/dev/null
if [ -f "$PLACES" ]; then . "$PLACES"; fi

case "${1:-}" in
"") ;;
stop)
    stop_started
    exit
    ;;
kill | start)
    [ "$STATE" != "$SHARED" ] || fail "$1 is for servers that nobody else uses: set SERVICES_STATE"
    [ -f "$PLACES" ] || fail "$STATE has no servers"
    case "$1 ${2:-}" in
    "kill mariadb" | "kill rabbitmq") kill_server "$2" ;;
    "start mariadb") start_mariadb ;;
    "start rabbitmq") start_rabbitmq ;;
    *) fail "which server is to be told to $1: mariadb or rabbitmq?" ;;
    esac
    exit
    ;;
*) fail "what is $1?" ;;
esac

mkdir -p "$STATE"
exec 9>"$STATE/lock"
flock 9

if [ "$STATE" != "$SHARED" ]; then
    # Of nobody else: neither those that the environment names nor containers.
    unset TICKETS_TEST_MYSQL_URL TICKETS_TEST_RABBITMQ_URL
fi
if [ -n "${TICKETS_TEST_MYSQL_URL:-}" ] && [ -n "${TICKETS_TEST_RABBITMQ_URL:-}" ]; then
    answers "$TICKETS_TEST_MYSQL_URL" || fail "nothing answers at TICKETS_TEST_MYSQL_URL"
    answers "$TICKETS_TEST_RABBITMQ_URL" || fail "nothing answers at TICKETS_TEST_RABBITMQ_URL"
    write_env "$TICKETS_TEST_MYSQL_URL" "$TICKETS_TEST_RABBITMQ_URL"
    exit
fi
if [ -f "$ENV_FILE" ]; then
    . "$ENV_FILE"
    if answers "$TICKETS_TEST_MYSQL_URL" && answers "$TICKETS_TEST_RABBITMQ_URL"; then
        echo "services: MySQL and RabbitMQ answer already"
        exit
    fi
fi
# One of them may still be there.
stop_started
if [ "$STATE" = "$SHARED" ] && docker info >/dev/null 2>&1; then
    with_docker
elif [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then
    with_debian 9>&-
elif [ "$STATE" != "$SHARED" ]; then
    fail "servers of one's own need root on Debian"
else
    fail "no MySQL and RabbitMQ: set TICKETS_TEST_MYSQL_URL and TICKETS_TEST_RABBITMQ_URL, \
start a Docker engine, or run as root on Debian"
fi
