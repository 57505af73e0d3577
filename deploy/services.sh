#!/usr/bin/env bash
# Finds or starts a MySQL, a RabbitMQ and a Redis server, and writes where they are to
# .local/services.env. Running it again is cheap.
#
#   1. What TICKETS_TEST_MYSQL_URL and TICKETS_TEST_RABBITMQ_URL name, if both are set; the
#      broker's management API is then where TICKETS_TEST_RABBITMQ_MANAGEMENT_URL points, and
#      Redis where TICKETS_TEST_REDIS_URL does.
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
#   SERVICES_STATE=FOLDER deploy/services.sh kill mariadb|rabbitmq|redis    SIGKILL
#   SERVICES_STATE=FOLDER deploy/services.sh start mariadb|rabbitmq|redis   again, with its data;
#                                                       Redis has none that outlive it
set -euo pipefail

cd "$(dirname "$0")/.."
STATE=$(realpath -m "${SERVICES_STATE:-.local/services}")
readonly STATE ENV_FILE="$STATE.env" SHARED="$PWD/.local/services" PROD="$PWD/.local/prod"
# In $STATE: whose folder it is; `containers` or `packages`; of packages where the data are if
# not in $STATE, the ports, and the broker's name, which its data belong to.
readonly OWNER="$STATE/owner" KIND="$STATE/kind" PLACES="$STATE/places"
readonly MYSQL_IMAGE="mysql:8.4" RABBITMQ_IMAGE="rabbitmq:4.1-management" REDIS_IMAGE="redis:8.2"
# Long enough for a database that recovers from a crash. A server that ends is seen at once.
readonly START_SECONDS=600

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

# What tells this folder from others, in names that all folders share.
checksum() {
    printf %s "$1" | cksum | cut -d' ' -f1
}

# The password of all servers, made once. Its user can read it only.
password() {
    [ -s "$STATE/password" ] ||
        (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$STATE/password")
    cat "$STATE/password"
}

# $3 and $4 may be empty: only the tests of the broker's management API and of Redis need them.
write_env() {
    (
        umask 077
        printf 'TICKETS_TEST_MYSQL_URL=%s\nTICKETS_TEST_RABBITMQ_URL=%s\n' "$1" "$2" >"$ENV_FILE"
        [ -z "${3:-}" ] ||
            printf 'TICKETS_TEST_RABBITMQ_MANAGEMENT_URL=%s\n' "$3" >>"$ENV_FILE"
        [ -z "${4:-}" ] || printf 'TICKETS_TEST_REDIS_URL=%s\n' "$4" >>"$ENV_FILE"
    )
    echo "services: MySQL, RabbitMQ${4:+ and Redis} answer; see ${ENV_FILE#"$PWD"/}"
}

# A copied folder names the servers and the data of the one that it was copied from.
refuse_copies() {
    local owner
    owner=$(cat "$OWNER" 2>/dev/null || echo "$STATE")
    if [ "$owner" != "$STATE" ] && [ -e "$owner/owner" ]; then
        fail "$STATE is a copy of $owner, whose servers it would use and remove. Remove the copy \
(rm -r), or give it to nobody else first (rm -r $owner)"
    fi
}

# --- containers ---------------------------------------------------------------------------

has_docker() {
    docker info >/dev/null 2>&1
}

# Of containers and volumes, the same when the folder is moved.
name() {
    [ -s "$STATE/name" ] ||
        echo "tickets-$(basename "$STATE")-$(checksum "$STATE")" >"$STATE/name"
    cat "$STATE/name"
}

# A container whose data are in a volume with its name, so that they outlive it.
container() {
    local name=$1
    shift
    docker container inspect "$name" >/dev/null 2>&1 || docker create --name "$name" "$@" >/dev/null
    docker start "$name" >/dev/null || fail "container $name does not start. If another program \
has its port, end that, or remove the container (docker rm $name): its data stay in its volume"
}

# Where a container's port $2 is on this machine.
published() {
    docker port "$1" "$2/tcp" | head -1
}

with_docker() {
    local password name
    name=$(name)
    if [ ! -s "$STATE/password" ] && docker volume inspect "$name-mysql" >/dev/null 2>&1; then
        fail "volume $name-mysql has data, but $STATE/password, its password, is missing: bring \
it back, or remove the data with \`deploy/services.sh destroy\`"
    fi
    echo containers >"$KIND"
    password=$(password)
    container "$name-mysql" -p "127.0.0.1:$(free_port 13306):3306" \
        -v "$name-mysql:/var/lib/mysql" -e MYSQL_ROOT_PASSWORD="$password" "$MYSQL_IMAGE" \
        --innodb-buffer-pool-size=1G --innodb-redo-log-capacity=512M
    # Of before the management API was published. Its data stay in its volume.
    if docker container inspect "$name-rabbitmq" >/dev/null 2>&1 &&
        ! docker container inspect -f '{{json .HostConfig.PortBindings}}' "$name-rabbitmq" |
            grep -q 15672/tcp; then
        docker rm --force "$name-rabbitmq" >/dev/null
    fi
    # The broker's data are kept by its host's name.
    container "$name-rabbitmq" -p "127.0.0.1:$(free_port 14672):5672" \
        -p "127.0.0.1:$(free_port 15672):15672" --hostname tickets \
        -e RABBITMQ_DEFAULT_USER=tickets -e RABBITMQ_DEFAULT_PASS="$password" \
        -v "$name-rabbitmq:/var/lib/rabbitmq" "$RABBITMQ_IMAGE"
    # Nothing in it outlives it.
    container "$name-redis" -p "127.0.0.1:$(free_port 16379):6379" "$REDIS_IMAGE" \
        redis-server --save "" --maxmemory 256mb --maxmemory-policy volatile-ttl \
        --requirepass "$password"
    # Over TCP: the server that sets a new volume up listens to a socket only.
    wait_for $START_SECONDS docker exec -e MYSQL_PWD="$password" "$name-mysql" \
        mysql -h127.0.0.1 -uroot -e 'SELECT 1'
    wait_for $START_SECONDS docker exec "$name-rabbitmq" \
        rabbitmq-diagnostics -q check_port_connectivity
    wait_for $START_SECONDS docker exec "$name-redis" redis-cli ping
    write_env "mysql://root:$password@$(published "$name-mysql" 3306)" \
        "amqp://tickets:$password@$(published "$name-rabbitmq" 5672)" \
        "http://tickets:$password@$(published "$name-rabbitmq" 15672)" \
        "redis://default:$password@$(published "$name-redis" 6379)"
}

# --- Debian's packages --------------------------------------------------------------------

install_packages() {
    local missing=()
    [ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server)
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
    [ -x /usr/bin/redis-server ] || missing+=(redis-server)
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "services: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$STATE/apt.log" 2>&1 ||
        fail "apt-get failed: $(tail -5 "$STATE/apt.log")"
}

# The servers run as users of their own, which must get through to their data: below a private
# folder, such as root's home, they don't.
data_folder() {
    local parent=$STATE
    while [ "$parent" != / ]; do
        case "$(stat -c %A "$parent")" in
        *[xt]) parent=$(dirname "$parent") ;;
        *)
            echo "/var/lib/tickets-services/$(basename "$STATE")-$(checksum "$STATE")"
            return
            ;;
        esac
    done
    echo "$STATE"
}

read_places() {
    data=$STATE
    # shellcheck source=/dev/null
    if [ -f "$PLACES" ]; then . "$PLACES"; fi
    # A folder that was moved took its data along; one of before named them all the same.
    if [ "$data" = "$(cat "$OWNER" 2>/dev/null)" ] || { [ ! -d "$data" ] && [ -d "$STATE/mariadb" ]; }; then
        data=$STATE
    fi
    # Of before the broker's name was kept.
    if [ -n "${rabbitmq_port:-}" ]; then
        rabbitmq_node=${rabbitmq_node:-tickets$rabbitmq_port@localhost}
    fi
}

keep_places() {
    printf 'data=%q mariadb_port=%q rabbitmq_port=%q rabbitmq_dist_port=%q rabbitmq_node=%q
rabbitmq_management_port=%q redis_port=%q\n' \
        "$data" "${mariadb_port:-}" "${rabbitmq_port:-}" "${rabbitmq_dist_port:-}" \
        "${rabbitmq_node:-}" "${rabbitmq_management_port:-}" "${redis_port:-}" >"$PLACES"
}

# The process of one of these servers, by what it was started with: it may have been started
# by a run that was interrupted.
process_of() {
    local program mark from entry
    case $1 in
    mariadb) program=mariadbd mark=--datadir=$data/mariadb/data from=cmdline ;;
    # Its command line does not say where its data are.
    rabbitmq) program=beam.smp mark=RABBITMQ_MNESIA_BASE=$data/rabbitmq/data from=environ ;;
    redis) program=redis-server mark=$data/redis/redis.conf from=cmdline ;;
    esac
    for entry in /proc/[0-9]*; do
        if [ "$(cat "$entry/comm" 2>/dev/null)" = "$program" ] &&
            grep -qzxF -- "$mark" "$entry/$from" 2>/dev/null; then
            echo "${entry#/proc/}"
            return
        fi
    done
    return 1
}

# One that has ended and that nobody has asked for its end is gone, too.
is_gone() {
    ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null
}

# Waits until the server takes logins, as long as process $2, which starts it, or the server
# itself lives. $3 is its log.
until_up() {
    local server=$1 starting=$2 log=$3 deadline=$((SECONDS + START_SECONDS))
    until "is_up_$server"; do
        if is_gone "$starting" && ! process_of "$server" >/dev/null; then
            fail "$server ended: $(tail -5 "$log")"
        fi
        [ $SECONDS -lt $deadline ] || fail "$server runs and takes no logins; see $log"
        sleep 0.3
    done
}

is_up_mariadb() {
    timeout 10 mariadb-admin --no-defaults --socket="$data/mariadb/socket" -uroot ping \
        >/dev/null 2>&1
}

# It answers a client's first bytes: an open port is not enough.
is_up_rabbitmq() {
    # shellcheck disable=SC2016 # the inner shell has the port as its $1
    timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "AMQP\0\0\11\1" >&3 &&
        [ "$(head -c 1 <&3 | od -An -tx1)" = " 01" ]' bash "$rabbitmq_port" 2>/dev/null
}

# It answers, also one that does not know us.
is_up_redis() {
    # shellcheck disable=SC2016 # the inner shell has the port as its $1
    timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "PING\r\n" >&3 &&
        [[ "$(head -c 1 <&3)" = [-+] ]]' bash "$redis_port" 2>/dev/null
}

mariadb_up() {
    local dir="$data/mariadb" password
    if ! process_of mariadb >/dev/null && [ ! -d "$dir/data/mysql" ]; then
        rm -rf "$dir/new" # has never been a database
        mkdir -p "$dir/new"
        chown -R mysql "$dir"
        mariadb-install-db --no-defaults --user=mysql --datadir="$dir/new" \
            --auth-root-authentication-method=socket --skip-test-db >"$dir/install.log" 2>&1 ||
            fail "mariadb-install-db failed: $(tail -5 "$dir/install.log")"
        # An empty one may be there of an interrupted start.
        rmdir "$dir/data" 2>/dev/null || true
        mv "$dir/new" "$dir/data"
    fi
    start_mariadb
    password=$(password)
    # Also of a start that was interrupted, and of one before root had only the socket.
    mariadb --no-defaults --socket="$dir/socket" -uroot <<SQL
CREATE USER IF NOT EXISTS 'tickets'@'%' IDENTIFIED BY '$password';
ALTER USER 'tickets'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'tickets'@'%';
ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket;
SQL
}

# With the data that it has, unless it runs.
start_mariadb() {
    local dir="$data/mariadb" process
    if ! process=$(process_of mariadb); then
        mariadb_port=$(free_port "${mariadb_port:-13306}")
        keep_places
        # What a crash has left must not be taken for signs of life.
        rm -f "$dir/pid" "$dir/socket"
        setsid nohup mariadbd --no-defaults --user=mysql --datadir="$dir/data" \
            --bind-address=127.0.0.1 --port="$mariadb_port" --socket="$dir/socket" \
            --pid-file="$dir/pid" --max-connections=400 \
            --innodb-buffer-pool-size=1G --innodb-log-file-size=512M \
            >>"$dir/log" 2>&1 </dev/null 9>&- &
        process=$!
    fi
    until_up mariadb "$process" "$dir/log"
}

rabbitmq_up() {
    local dir="$data/rabbitmq"
    if [ ! -f "$dir/rabbitmq.conf" ]; then
        mkdir -p "$dir"
        (umask 077 && printf 'default_user = tickets\ndefault_pass = %s\n' "$(password)" \
            >"$dir/rabbitmq.conf")
        chown -R rabbitmq "$dir"
    fi
    # One of before the management API was on is started again.
    local process
    if [ -z "${rabbitmq_management_port:-}" ] && process=$(process_of rabbitmq); then
        kill "$process"
        wait_for $START_SECONDS is_gone "$process"
    fi
    start_rabbitmq
}

# The management API, on loopback. Without rates, counting messages costs the broker nothing.
configure_management() {
    local dir="$data/rabbitmq"
    # Behind the other two, which are not open yet and may have moved to where it was before.
    rabbitmq_management_port=$(free_port $((rabbitmq_dist_port + 1)))
    printf '[rabbitmq_management].\n' >"$dir/plugins"
    (
        umask 077 # it has the password
        { sed '/^management\./d' "$dir/rabbitmq.conf" && printf '%s\n' \
            'management.tcp.ip = 127.0.0.1' "management.tcp.port = $rabbitmq_management_port" \
            'management.rates_mode = none'; } >"$dir/rabbitmq.conf.new"
        chown rabbitmq "$dir/rabbitmq.conf.new"
        mv "$dir/rabbitmq.conf.new" "$dir/rabbitmq.conf"
    )
    chown rabbitmq "$dir/plugins"
}

# With the data that it has, which are those of its node's name, unless it runs.
start_rabbitmq() {
    local dir="$data/rabbitmq" process
    if ! process=$(process_of rabbitmq); then
        rabbitmq_port=$(free_port "${rabbitmq_port:-14672}")
        rabbitmq_dist_port=$(free_port $((rabbitmq_port + 1)))
        rabbitmq_node=${rabbitmq_node:-tickets$(checksum "$STATE")@localhost}
        configure_management
        keep_places
        rm -f "$dir/pid"
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
        process=$!
    fi
    # The port opens before the broker takes logins; its log says when it does.
    until_up rabbitmq "$process" "$dir/console"
    wait_for 60 grep -q "completed with" "$dir/console"
}

redis_up() {
    local dir="$data/redis"
    mkdir -p "$dir"
    (umask 077 && printf 'requirepass %s\n' "$(password)" >"$dir/redis.conf")
    chown -R redis "$dir"
    start_redis
}

# With nothing in it, unless it runs. Its command line is how it is found again.
start_redis() {
    local dir="$data/redis" process
    if ! process=$(process_of redis); then
        redis_port=$(free_port "${redis_port:-16379}")
        keep_places
        setsid nohup setpriv --reuid redis --regid redis --init-groups \
            redis-server "$dir/redis.conf" --bind 127.0.0.1 --port "$redis_port" --dir "$dir" \
            --save "" --appendonly no --maxmemory 256mb --maxmemory-policy volatile-ttl \
            --set-proc-title no >"$dir/log" 2>&1 </dev/null 9>&- &
        process=$!
    fi
    until_up redis "$process" "$dir/log"
}

# Brokers of before have the user that every broker has at first.
rabbitmq_login() {
    if grep -q '^default_pass' "$data/rabbitmq/rabbitmq.conf"; then
        echo "tickets:$(password)"
    else
        echo guest:guest
    fi
}

with_packages() {
    if [ -f "$PLACES" ]; then
        [ -d "$data" ] || fail "$PLACES says that the data are in $data, which is not there: bring \
it back, or give it up with \`deploy/services.sh destroy\`"
    else
        data=$(data_folder)
        mkdir -p "$data"
        # Whatever the caller's umask is.
        [ "$data" = "$STATE" ] || chmod 755 "$(dirname "$data")" "$data"
    fi
    echo packages >"$KIND"
    [ "$data" = "$STATE" ] || echo "services: the data are in $data"
    keep_places
    install_packages
    mariadb_up
    rabbitmq_up
    redis_up
    write_env "mysql://tickets:$(password)@127.0.0.1:$mariadb_port" \
        "amqp://$(rabbitmq_login)@127.0.0.1:$rabbitmq_port" \
        "http://$(rabbitmq_login)@127.0.0.1:$rabbitmq_management_port" \
        "redis://default:$(password)@127.0.0.1:$redis_port"
}

# --- commands -----------------------------------------------------------------------------

# What the folder's servers are; nothing if it has none yet.
kind() {
    if [ -s "$KIND" ]; then cat "$KIND"; elif [ -f "$PLACES" ]; then echo packages; fi
}

stop() {
    local server pid
    if [ "$(kind)" = containers ]; then
        has_docker || fail "its servers are containers, and no Docker engine answers"
        # Of before there was a Redis, it may be missing.
        docker ps --quiet --filter "name=^$(name)-(mysql|rabbitmq|redis)$" |
            xargs --no-run-if-empty docker stop >/dev/null
    else
        for server in mariadb rabbitmq redis; do
            if pid=$(process_of "$server"); then
                kill "$pid"
                wait_for $START_SECONDS is_gone "$pid"
            fi
        done
    fi
    rm -f "$ENV_FILE"
}

destroy() {
    if [ "$(kind)" = containers ]; then
        has_docker || fail "its servers are containers, and no Docker engine answers"
        docker rm --force "$(name)-mysql" "$(name)-rabbitmq" "$(name)-redis" >/dev/null
        docker volume rm --force "$(name)-mysql" "$(name)-rabbitmq" >/dev/null
    else
        stop
    fi
    [ "$data" = "$STATE" ] || rm -rf "$data"
    rm -rf "$STATE" "$ENV_FILE"
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
    local redis_url=${TICKETS_TEST_REDIS_URL:-}
    if [ "$STATE" = "$SHARED" ] && [ -n "$mysql_url" ] && [ -n "$rabbitmq_url" ]; then
        answers "$mysql_url" || fail "nothing answers at TICKETS_TEST_MYSQL_URL"
        answers "$rabbitmq_url" || fail "nothing answers at TICKETS_TEST_RABBITMQ_URL"
        [ -z "$redis_url" ] || answers "$redis_url" ||
            fail "nothing answers at TICKETS_TEST_REDIS_URL"
        write_env "$mysql_url" "$rabbitmq_url" "${TICKETS_TEST_RABBITMQ_MANAGEMENT_URL:-}" \
            "$redis_url"
        return
    fi
    # It stays with what it has, whatever was installed or is down since.
    case "$(kind)" in
    containers)
        has_docker || fail "the servers of $STATE are containers, and no Docker engine answers: \
start it"
        with_docker
        ;;
    packages) with_packages ;;
    *)
        if { [ "$STATE" = "$SHARED" ] || [ "$STATE" = "$PROD" ]; } && has_docker; then
            with_docker
        elif [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then
            with_packages
        elif [ "$STATE" = "$SHARED" ]; then
            fail "no MySQL, RabbitMQ and Redis: set TICKETS_TEST_MYSQL_URL, \
TICKETS_TEST_RABBITMQ_URL and TICKETS_TEST_REDIS_URL, start a Docker engine, or run as root on Debian"
        else
            fail "no MySQL, RabbitMQ and Redis can be started here: that needs a Docker engine, or root \
on Debian"
        fi
        ;;
    esac
}

mkdir -p "$STATE"
[ -w "$STATE" ] || fail "$STATE is not yours to write: run this as its owner, $(stat -c %U "$STATE")"
exec 9>"$STATE/lock"
case "${1:-}" in
"" | stop | destroy)
    flock 9
    refuse_copies
    read_places
    echo "$STATE" >"$OWNER"
    "${1:-up}"
    ;;
kill | start)
    [ "$STATE" != "$SHARED" ] && [ "$STATE" != "$PROD" ] ||
        fail "$1 is for servers that nobody else uses: set SERVICES_STATE"
    [ -f "$PLACES" ] || fail "$STATE has no servers"
    refuse_copies
    read_places
    case "$1 ${2:-}" in
    "kill mariadb" | "kill rabbitmq" | "kill redis") kill_server "$2" ;;
    "start mariadb") start_mariadb ;;
    "start rabbitmq") start_rabbitmq ;;
    "start redis") start_redis ;;
    *) fail "which server is to be told to $1: mariadb, rabbitmq or redis?" ;;
    esac
    ;;
*) fail "what is $1? Say nothing, stop or destroy" ;;
esac
