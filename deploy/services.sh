#!/usr/bin/env bash
# Finds or starts a MySQL and a RabbitMQ server, and writes where they are to
# .local/services.env. Running it again is cheap.
#
#   1. What TICKETS_TEST_MYSQL_URL and TICKETS_TEST_RABBITMQ_URL name, if both are set.
#   2. What an earlier run started: each server that does not run is started again, with
#      its data.
#   3. New ones: containers, if a Docker engine answers; else Debian's packages, if this is
#      Debian and we are root.
#
# Everything listens on loopback only.
#
#   deploy/services.sh            as above
#   deploy/services.sh stop       stops what 2. and 3. started; the data stay
#   deploy/services.sh destroy    stops it and REMOVES ITS DATA. Nothing else here removes data
#
# SERVICES_STATE=FOLDER names other servers, which are kept in FOLDER, and where they are in
# FOLDER.env: those of `make prod` in .local/prod, those of `make chaos` in .local/chaos. They
# are never what 1. names. Servers that only their caller uses can be broken, too:
#
#   SERVICES_STATE=FOLDER deploy/services.sh kill mariadb|rabbitmq    SIGKILL
#   SERVICES_STATE=FOLDER deploy/services.sh start mariadb|rabbitmq   again, with its data
set -euo pipefail

cd "$(dirname "$0")/.."
STATE=$(realpath -m "${SERVICES_STATE:-.local/services}")
readonly STATE ENV_FILE="$STATE.env" SHARED="$PWD/.local/services" PROD="$PWD/.local/prod"
# Of servers from Debian's packages: where their data are, their ports, the broker's name.
readonly PLACES="$STATE/places"
readonly MYSQL_IMAGE="mysql:8.4" RABBITMQ_IMAGE="rabbitmq:4.1-management"
# Of containers and volumes.
NAME=tickets-$(basename "$STATE")
readonly NAME

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

# The database's password, made once. Its user can read it only.
password() {
    [ -f "$STATE/password" ] ||
        (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$STATE/password")
    cat "$STATE/password"
}

write_env() {
    (
        umask 077
        printf 'TICKETS_TEST_MYSQL_URL=%s\nTICKETS_TEST_RABBITMQ_URL=%s\n' "$1" "$2" >"$ENV_FILE"
    )
    echo "services: MySQL and RabbitMQ answer; see ${ENV_FILE#"$PWD"/}"
}

# --- containers ---------------------------------------------------------------------------

# A container whose data are in a volume with its name, so that they outlive it.
container() {
    local name=$1
    shift
    docker container inspect "$name" >/dev/null 2>&1 || docker create --name "$name" "$@" >/dev/null
    docker start "$name" >/dev/null
}

# Where a container's port $2 is on this machine.
published() {
    docker port "$1" "$2/tcp" | head -1
}

with_docker() {
    local password
    if [ ! -f "$STATE/password" ] && docker volume inspect "$NAME-mysql" >/dev/null 2>&1; then
        fail "volume $NAME-mysql has data, but $STATE/password, its password, is missing: bring \
it back, or remove the data with \`deploy/services.sh destroy\`"
    fi
    password=$(password)
    container "$NAME-mysql" -p "127.0.0.1:$(free_port 13306):3306" \
        -v "$NAME-mysql:/var/lib/mysql" -e MYSQL_ROOT_PASSWORD="$password" "$MYSQL_IMAGE" \
        --innodb-buffer-pool-size=1G --innodb-redo-log-capacity=512M
    # The broker's data are kept by its host's name.
    container "$NAME-rabbitmq" -p "127.0.0.1:$(free_port 14672):5672" --hostname tickets \
        -v "$NAME-rabbitmq:/var/lib/rabbitmq" "$RABBITMQ_IMAGE"
    # Over TCP: the server that sets a new volume up listens to a socket only.
    wait_for 180 docker exec -e MYSQL_PWD="$password" "$NAME-mysql" \
        mysql -h127.0.0.1 -uroot -e 'SELECT 1'
    wait_for 180 docker exec "$NAME-rabbitmq" rabbitmq-diagnostics -q check_port_connectivity
    write_env "mysql://root:$password@$(published "$NAME-mysql" 3306)" \
        "amqp://guest:guest@$(published "$NAME-rabbitmq" 5672)"
}

# --- Debian's packages --------------------------------------------------------------------

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

# Data are complete once `made` is beside them. What an interrupted first start has left is
# put aside, never removed.
is_made() {
    [ -e "$data/$1/made" ]
}

put_aside() {
    [ ! -e "$data/$1" ] || mv "$data/$1" "$data/$1.unfinished.$(date +%s)"
}

mariadb_up() {
    local dir="$data/mariadb" password
    if is_made mariadb; then
        process_of mariadb >/dev/null || start_mariadb
        return
    fi
    put_aside mariadb
    password=$(password)
    mkdir -p "$dir/data"
    chown -R mysql "$dir"
    mariadb-install-db --no-defaults --user=mysql --datadir="$dir/data" \
        --auth-root-authentication-method=normal --skip-test-db >"$dir/install.log" 2>&1 ||
        fail "mariadb-install-db failed: $(tail -5 "$dir/install.log")"
    start_mariadb
    mariadb --no-defaults --socket="$dir/socket" -uroot <<SQL
CREATE USER 'tickets'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'tickets'@'%';
SQL
    touch "$dir/made"
}

# With the data that it has.
start_mariadb() {
    local dir="$data/mariadb"
    mariadb_port=$(free_port "${mariadb_port:-13306}")
    keep_places
    # What a crash has left must not be taken for signs of life.
    rm -f "$dir/pid" "$dir/socket"
    setsid nohup mariadbd --no-defaults --user=mysql --datadir="$dir/data" \
        --bind-address=127.0.0.1 --port="$mariadb_port" --socket="$dir/socket" \
        --pid-file="$dir/pid" --max-connections=400 \
        --innodb-buffer-pool-size=1G --innodb-log-file-size=512M \
        >>"$dir/log" 2>&1 </dev/null 9>&- &
    wait_for 60 mariadb-admin --no-defaults --socket="$dir/socket" -uroot ping
    cp "$dir/pid" "$STATE/mariadb.pid"
}

rabbitmq_up() {
    local dir="$data/rabbitmq"
    if is_made rabbitmq; then
        process_of rabbitmq >/dev/null || start_rabbitmq
        return
    fi
    put_aside rabbitmq
    mkdir -p "$dir"
    printf '[].\n' >"$dir/plugins"
    : >"$dir/rabbitmq.conf"
    chown -R rabbitmq "$dir"
    start_rabbitmq
    touch "$dir/made"
}

# With the data that it has, which are those of its node's name.
start_rabbitmq() {
    local dir="$data/rabbitmq"
    rabbitmq_port=$(free_port "${rabbitmq_port:-14672}")
    rabbitmq_dist_port=$(free_port $((rabbitmq_port + 1)))
    rabbitmq_node=${rabbitmq_node:-tickets$(printf %s "$STATE" | cksum | cut -d' ' -f1)@localhost}
    keep_places
    rm -f "$dir/pid" "$dir/console"
    # The package's own start goes through su, which caps open files at 1024.
    ulimit -n 20000 2>/dev/null || true
    env HOME=/var/lib/rabbitmq RABBITMQ_NODENAME="$rabbitmq_node" \
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$rabbitmq_port" \
        RABBITMQ_DIST_PORT="$rabbitmq_dist_port" RABBITMQ_MNESIA_BASE="$dir/data" \
        RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" RABBITMQ_PID_FILE="$dir/pid" \
        ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
        setsid nohup setpriv --reuid rabbitmq --regid rabbitmq --init-groups \
        /usr/lib/rabbitmq/bin/rabbitmq-server >"$dir/console" 2>&1 </dev/null 9>&- &
    # The port opens before the broker takes logins; its log says when it does.
    wait_for 120 grep -q "completed with" "$dir/console"
    wait_for 20 answers "tcp://127.0.0.1:$rabbitmq_port"
    cp "$dir/pid" "$STATE/rabbitmq.pid"
}

keep_places() {
    printf 'data=%q mariadb_port=%q rabbitmq_port=%q rabbitmq_dist_port=%q rabbitmq_node=%q\n' \
        "$data" "${mariadb_port:-}" "${rabbitmq_port:-}" "${rabbitmq_dist_port:-}" \
        "${rabbitmq_node:-}" >"$PLACES"
}

with_debian() {
    install_packages
    [ -f "$PLACES" ] || data=$(data_folder)
    mariadb_up
    rabbitmq_up
    write_env "mysql://tickets:$(password)@127.0.0.1:$mariadb_port" \
        "amqp://guest:guest@127.0.0.1:$rabbitmq_port"
}

# The process of one of these servers, if it runs: a number alone may be that of another
# process by now.
process_of() {
    local pid
    pid=$(cat "$STATE/$1.pid" 2>/dev/null) || return 1
    # The broker's command line does not say where its data are.
    grep -qzF "$data/$1" "/proc/$pid/cmdline" "/proc/$pid/environ" 2>/dev/null && echo "$pid"
}

# One that has ended and that nobody has asked for its end is gone, too.
is_gone() {
    ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null
}

# --- commands -----------------------------------------------------------------------------

has_docker() {
    docker info >/dev/null 2>&1
}

stop() {
    local server pid
    for server in mariadb rabbitmq; do
        if pid=$(process_of "$server"); then
            kill "$pid"
            wait_for 60 is_gone "$pid"
        fi
        rm -f "$STATE/$server.pid"
    done
    if has_docker; then
        docker stop "$NAME-mysql" "$NAME-rabbitmq" >/dev/null 2>&1 || true
    fi
    rm -f "$ENV_FILE"
}

destroy() {
    stop
    if has_docker; then
        docker rm "$NAME-mysql" "$NAME-rabbitmq" >/dev/null 2>&1 || true
        docker volume rm "$NAME-mysql" "$NAME-rabbitmq" >/dev/null 2>&1 || true
    fi
    [ "$data" = "$STATE" ] || rm -rf "$data"
    rm -rf "$STATE"
    echo "services: the servers of ${STATE#"$PWD"/} and their data are gone"
}

# Ends one that nobody else uses, as a crash would, and waits until it is gone.
kill_server() {
    local pid
    pid=$(process_of "$1") || fail "$1 does not run"
    kill -KILL "$pid"
    wait_for 10 is_gone "$pid"
}

up() {
    local mysql_url=${TICKETS_TEST_MYSQL_URL:-} rabbitmq_url=${TICKETS_TEST_RABBITMQ_URL:-}
    if [ "$STATE" = "$SHARED" ] && [ -n "$mysql_url" ] && [ -n "$rabbitmq_url" ]; then
        answers "$mysql_url" || fail "nothing answers at TICKETS_TEST_MYSQL_URL"
        answers "$rabbitmq_url" || fail "nothing answers at TICKETS_TEST_RABBITMQ_URL"
        write_env "$mysql_url" "$rabbitmq_url"
    elif [ -f "$PLACES" ]; then
        # It stays with what it has, also when an engine was installed since.
        with_debian
    elif { [ "$STATE" = "$SHARED" ] || [ "$STATE" = "$PROD" ]; } && has_docker; then
        with_docker
    elif [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then
        with_debian
    elif [ "$STATE" = "$SHARED" ]; then
        fail "no MySQL and RabbitMQ: set TICKETS_TEST_MYSQL_URL and TICKETS_TEST_RABBITMQ_URL, \
start a Docker engine, or run as root on Debian"
    else
        fail "no MySQL and RabbitMQ can be started here: that needs a Docker engine, or root on Debian"
    fi
}

data=$STATE
if [ -f "$PLACES" ]; then
    # shellcheck source=/dev/null
    . "$PLACES"
    # Of before the broker's name, the password and `made` were kept.
    [ -z "${rabbitmq_port:-}" ] || rabbitmq_node=${rabbitmq_node:-tickets$rabbitmq_port@localhost}
    if [ ! -f "$STATE/password" ] && [ -f "$ENV_FILE" ]; then
        (umask 077 && sed -n 's|.*mysql://tickets:\(.*\)@.*|\1|p' "$ENV_FILE" | tr -d '\n' \
            >"$STATE/password")
        touch "$data/mariadb/made" "$data/rabbitmq/made"
    fi
fi
case "${1:-}" in
"" | stop | destroy)
    mkdir -p "$STATE"
    exec 9>"$STATE/lock"
    flock 9
    "${1:-up}"
    ;;
kill | start)
    [ "$STATE" != "$SHARED" ] && [ "$STATE" != "$PROD" ] ||
        fail "$1 is for servers that nobody else uses: set SERVICES_STATE"
    [ -f "$PLACES" ] || fail "$STATE has no servers"
    case "$1 ${2:-}" in
    "kill mariadb" | "kill rabbitmq") kill_server "$2" ;;
    "start mariadb") start_mariadb ;;
    "start rabbitmq") start_rabbitmq ;;
    *) fail "which server is to be told to $1: mariadb or rabbitmq?" ;;
    esac
    ;;
*) fail "what is $1? Say nothing, stop or destroy" ;;
esac
