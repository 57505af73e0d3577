#!/usr/bin/env bash
# A cluster of three RabbitMQ nodes that only its caller uses, and that can be broken in every
# way. Needs root on Debian, and the right to make network namespaces: each node has one, so
# that nodes can lose each other while clients still reach them, or vanish like a machine.
#
#   deploy/cluster.sh start          finds the nodes running or starts those that are down
#   deploy/cluster.sh status         what each node does, and which nodes it sees
#   deploy/cluster.sh kill N         SIGKILL
#   deploy/cluster.sh stop N         a clean stop
#   deploy/cluster.sh run N          starts it again with its data, waits until it is a member
#   deploy/cluster.sh freeze N       SIGSTOP: its connections stay open and nothing answers
#   deploy/cluster.sh thaw N         SIGCONT
#   deploy/cluster.sh cut N          N and the other two lose each other; clients reach all three
#   deploy/cluster.sh vanish N       nobody reaches N any more, and nobody is told
#   deploy/cluster.sh heal N         undoes cut and vanish
#   deploy/cluster.sh leader QUEUE   the node that leads this quorum queue of vhost /
#   deploy/cluster.sh ctl N …        rabbitmqctl for node N
#   deploy/cluster.sh reset          undoes all of the above, and the node's watermark of memory
#                                    if `ctl` set another. A node that can't come back with its
#                                    data joins without them
#   deploy/cluster.sh stop-all       a clean stop of all; the data stay
#   deploy/cluster.sh destroy        ends all of it and REMOVES ITS DATA
#
# CLUSTER_STATE=FOLDER names another cluster than that of .local/cluster; any number run at
# once. FOLDER.env has where its nodes are. These are set when a cluster is started; it keeps
# them until it is started with others while all its nodes are down:
#
#   CLUSTER_RABBITMQ             debian: this machine's package (the default);
#                                latest: that of Debian unstable. Kept until `destroy`
#   CLUSTER_PARTITION_HANDLING   pause_minority (the default), ignore or autoheal, as RabbitMQ's
#                                cluster_partition_handling
#   CLUSTER_NET_TICKTIME         4 (the default): a node without a sign of life is lost after
#                                this many seconds, more or less a quarter
set -euo pipefail

cd "$(dirname "$0")/.."
STATE=$(realpath -m "${CLUSTER_STATE:-.local/cluster}")
# In $STATE: whose folder it is; what the cluster is; and a folder for each node, which that
# node has as its /var/lib/rabbitmq.
readonly STATE ENV_FILE="$STATE.env" OWNER="$STATE/owner" PLACES="$STATE/places"
readonly NODES="1 2 3"
# A node that boots while Rust is compiled on the same cores takes its time.
readonly START_SECONDS=180 STOP_SECONDS=60
readonly MEMORY=1GiB

say() {
    echo "cluster: $*"
}

fail() {
    echo "cluster: $*" >&2
    exit 1
}

# shellcheck source=deploy/debian.sh
. deploy/debian.sh

# Runs a command until it succeeds; after $1 seconds gives up with message $2.
wait_for() {
    local deadline=$((SECONDS + $1)) message=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "$message"
        sleep 0.2
    done
}

# --- what the cluster is ------------------------------------------------------------------

# `name` starts the names of its namespaces and is that of its interface on this machine;
# nodes have addresses $subnet.1 to .3, this machine $subnet.254.
read_places() {
    local owner
    owner=$(cat "$OWNER" 2>/dev/null || echo "$STATE")
    [ "$owner" = "$STATE" ] || fail "$STATE is a copy of $owner, or was moved from there. Move it \
back, or remove it (rm -r $STATE)"
    # shellcheck source=/dev/null
    if [ -f "$PLACES" ]; then . "$PLACES"; fi
    case "${rabbitmq:-debian}" in
    latest) root=$LATEST ;;
    *) root= ;;
    esac
}

has_cluster() {
    [ -f "$PLACES" ]
}

keep_places() {
    echo "$STATE" >"$OWNER"
    printf 'name=%q subnet=%q rabbitmq=%q partition_handling=%q net_ticktime=%q\n' \
        "$name" "$subnet" "$rabbitmq" "$partition_handling" "$net_ticktime" >"$PLACES.new"
    mv "$PLACES.new" "$PLACES"
}

# Only a default route leads there.
is_free_subnet() {
    ! ip -4 route show to match "$1.1" | grep -qv '^default'
}

# Whatever the caller asks for and the cluster does not have yet.
choose_places() {
    local sum
    if ! has_cluster; then
        sum=$(printf %s "$STATE" | cksum | cut -d' ' -f1)
        # An interface's name has 15 characters at most.
        name=$(printf 'tk%08x' "$sum")
        subnet=10.77.$((sum % 254 + 1))
        until is_free_subnet "$subnet"; do
            sum=$((sum + 1))
            subnet=10.77.$((sum % 254 + 1))
        done
        rabbitmq=${CLUSTER_RABBITMQ:-debian}
    fi
    [ "${CLUSTER_RABBITMQ:-$rabbitmq}" = "$rabbitmq" ] || fail "$STATE has a cluster of \
$rabbitmq: choose another CLUSTER_STATE, or give this one up with \`deploy/cluster.sh destroy\`"
    case "$rabbitmq" in
    debian) root= ;;
    latest) root=$LATEST ;;
    *) fail "CLUSTER_RABBITMQ is debian or latest, not $rabbitmq" ;;
    esac
    local handling=${CLUSTER_PARTITION_HANDLING:-${partition_handling:-pause_minority}}
    local ticktime=${CLUSTER_NET_TICKTIME:-${net_ticktime:-4}}
    case "$handling" in
    pause_minority | ignore | autoheal) ;;
    *) fail "CLUSTER_PARTITION_HANDLING is pause_minority, ignore or autoheal, not $handling" ;;
    esac
    [[ $ticktime =~ ^[1-9][0-9]*$ ]] || fail "CLUSTER_NET_TICKTIME is a number of seconds"
    if [ "$handling" != "${partition_handling:-$handling}" ] ||
        [ "$ticktime" != "${net_ticktime:-$ticktime}" ]; then
        local node
        for node in $NODES; do
            ! process_of "$node" >/dev/null || fail "it runs with $partition_handling and a \
net_ticktime of $net_ticktime: \`deploy/cluster.sh stop-all\` first"
        done
    fi
    partition_handling=$handling net_ticktime=$ticktime
    keep_places
}

password() {
    [ -s "$STATE/password" ] ||
        (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$STATE/password")
    cat "$STATE/password"
}

write_env() {
    local node amqp=() management=() version login
    version=$(erlang 1 'rabbit_misc:version()' | tr -d '"')
    login="tickets:$(password)"
    for node in $NODES; do
        amqp+=("amqp://$login@$subnet.$node:5672/%2f")
        management+=("http://$login@$subnet.$node:15672")
    done
    (
        umask 077
        IFS=,
        printf 'TICKETS_CLUSTER_URLS=%s\nTICKETS_CLUSTER_MANAGEMENT_URLS=%s\n' \
            "${amqp[*]}" "${management[*]}" >"$ENV_FILE"
        printf 'TICKETS_CLUSTER_VERSION=%s\n' "$version" >>"$ENV_FILE"
    )
    say "three nodes of RabbitMQ $version are a cluster; see ${ENV_FILE#"$PWD"/}"
}

# --- the machine --------------------------------------------------------------------------

prepare_machine() {
    [ "$(id -u)" = 0 ] || fail "three nodes need network namespaces: run this as root"
    [ -f /etc/debian_version ] || fail "this installs Debian's packages: run it on Debian, or in \
a container of Debian that may make network namespaces (docker run --privileged)"
    local log="$STATE/apt.log"
    install_here "$log" iproute2 nftables
    if [ "$rabbitmq" = latest ]; then make_latest; else install_here "$log" rabbitmq-server; fi
}

# The switch that connects the nodes is in namespace 0, where no firewall of this machine is.
network_up() {
    local node ns
    for node in 0 $NODES; do
        ns="$name-$node"
        if ! ip netns exec "$ns" true 2>/dev/null; then
            rm -f "/run/netns/$ns"
            ip netns add "$ns" 2>"$STATE/network.log" || fail "no right to make network \
namespaces ($(cat "$STATE/network.log")). In a container: docker run --privileged"
        fi
        ip -n "$ns" link set lo up
    done
    ip -n "$name-0" link show switch >/dev/null 2>&1 || ip -n "$name-0" link add switch type bridge
    ip -n "$name-0" link set switch up
    if ! ip link show "$name" >/dev/null 2>&1; then
        is_free_subnet "$subnet" || fail "$subnet.0/24, which this cluster's names are made of, is \
used by something else now (ip route). End that, or \`deploy/cluster.sh destroy\`"
        ip link add "$name" type veth peer name host netns "$name-0"
    fi
    ip addr replace "$subnet.254/24" dev "$name"
    ip link set "$name" up
    ip -n "$name-0" link set host master switch up
    for node in $NODES; do
        ip -n "$name-$node" link show eth0 >/dev/null 2>&1 ||
            ip -n "$name-$node" link add eth0 type veth peer name "node$node" netns "$name-0"
        ip -n "$name-$node" addr replace "$subnet.$node/24" dev eth0
        ip -n "$name-$node" link set eth0 up
        ip -n "$name-0" link set "node$node" master switch up
    done
}

network_down() {
    local node
    ip link del "$name" 2>/dev/null || true
    for node in 0 $NODES; do ip netns del "$name-$node" 2>/dev/null || true; done
}

# --- nodes --------------------------------------------------------------------------------

node_files() {
    local node peer dir owner cookie
    owner=$(chroot "${root:-/}" id -u rabbitmq):$(chroot "${root:-/}" id -g rabbitmq)
    [ -s "$STATE/cookie" ] || (umask 077 && password | tr a-f A-F >"$STATE/cookie")
    cookie=$(cat "$STATE/cookie")
    for node in $NODES; do
        dir="$STATE/$node"
        mkdir -p "$dir"
        # As whose it is; see `inside`.
        [ -e "$dir/.erlang.cookie" ] ||
            (umask 377 && printf %s "$cookie" >"$dir/.erlang.cookie")
        printf '[rabbitmq_management].\n' >"$dir/plugins"
        (
            umask 077
            {
                echo "default_user = tickets"
                echo "default_pass = $(password)"
                echo "loopback_users = none"
                echo "cluster_formation.peer_discovery_backend = classic_config"
                for peer in $NODES; do
                    echo "cluster_formation.classic_config.nodes.$peer = rabbit@$subnet.$peer"
                done
                echo "cluster_partition_handling = $partition_handling"
                echo "net_ticktime = $net_ticktime"
                echo "vm_memory_high_watermark.absolute = $MEMORY"
                echo "disk_free_limit.absolute = 50MB"
            } >"$dir/rabbitmq.conf"
        )
        # See docs/OPERATIONS.md.
        echo '[{kernel, [{net_setuptime, 1}]}, {aten, [{poll_interval, 1000}]}].' >"$dir/advanced.config"
        chown "$owner" "$dir" "$dir/.erlang.cookie" "$dir/plugins" "$dir/rabbitmq.conf" \
            "$dir/advanced.config"
    done
}

# Runs a command as node $1 does: in its network, as RabbitMQ's user, with its folder as that
# user's home. Its mounts are gone with it, and those that this machine loses it loses, too.
inside() {
    local node=$1
    shift
    # shellcheck disable=SC2016 # the inner shell has its own arguments
    ip netns exec "$name-$node" unshare --mount --propagation slave bash -euc '
        root=$1 home=$2
        shift 2
        cd /
        mount --bind "$home" "$root/var/lib/rabbitmq"
        if [ -n "$root" ]; then
            mount -t proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
        fi
        exec chroot --userspec=rabbitmq:rabbitmq "${root:-/}" env -i "$@"
    ' bash "$root" "$STATE/$node" LC_ALL=C.UTF-8 HOME=/var/lib/rabbitmq \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        RABBITMQ_NODENAME="rabbit@$subnet.$node" RABBITMQ_USE_LONGNAME=true \
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILES=/var/lib/rabbitmq/conf.d \
        RABBITMQ_CONFIG_FILE=/var/lib/rabbitmq/rabbitmq.conf \
        RABBITMQ_ADVANCED_CONFIG_FILE=/var/lib/rabbitmq/advanced.config \
        RABBITMQ_ENABLED_PLUGINS_FILE=/var/lib/rabbitmq/plugins \
        RABBITMQ_LOG_BASE=/var/lib/rabbitmq/log "$@" 9>&- 8>&-
}

ctl() {
    local node=$1
    shift
    inside "$node" /usr/lib/rabbitmq/bin/rabbitmqctl "$@"
}

# What an Erlang expression is on node $1. Much cheaper than rabbitmqctl, which is a whole node.
erlang() {
    local answer
    answer=$(timeout 10 ip netns exec "$name-$1" chroot "${root:-/}" erl_call \
        -name "rabbit@$subnet.$1" -c "$(cat "$STATE/cookie")" -timeout 8 -e <<<"$2." 2>/dev/null \
        9>&- 8>&-) || return 1
    [[ $answer == "{ok, "* ]] || return 1
    answer=${answer#"{ok, "}
    echo "${answer%\}}"
}

# The node's Erlang, among all that runs in its namespace.
process_of() {
    local pid
    for pid in $(ip netns pids "$name-$1" 2>/dev/null); do
        if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = beam.smp ] &&
            grep -qzxF "TICKETS_CLUSTER_NODE=$1" "/proc/$pid/environ" 2>/dev/null; then
            echo "$pid"
            return
        fi
    done
    return 1
}

# One that has ended and that nobody has asked for its end is gone, too.
is_gone() {
    ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null
}

is_frozen() {
    local pid
    pid=$(process_of "$1") && grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null
}

# It answers a client's first bytes. Asked for in its own namespace, so that it does not matter
# who else reaches it.
takes_clients() {
    # shellcheck disable=SC2016 # the inner shell counts
    ! is_frozen "$1" && timeout 5 ip netns exec "$name-$1" bash -c '
        exec 3<>/dev/tcp/127.0.0.1/5672 && printf "AMQP\0\0\11\1" >&3 &&
        [ "$(head -c 1 <&3 | od -An -tx1)" = " 01" ]' 2>/dev/null
}

# The nodes that node $1 counts as running members, itself among them, as in `1 3`. After
# a slash those that it was parted from and does not trust since.
view() {
    local text
    text=$(erlang "$1" '
        Members = case erlang:function_exported(rabbit_nodes, list_members, 0) of
            true -> rabbit_nodes:list_members();
            false -> rabbit_mnesia:cluster_nodes(all)
        end,
        Parted = case catch rabbit_node_monitor:partitions() of
            Nodes when is_list(Nodes) -> Nodes;
            _ -> []
        end,
        Number = fun(Node) -> lists:last(string:tokens(atom_to_list(Node), ".")) end,
        Near = [Node || Node <- [node() | nodes()], lists:member(Node, Members)],
        Running = [Number(Node) || rabbit:is_booted(), Node <- Near, rabbit:is_running(Node)],
        list_to_atom(string:join(lists:sort(Running), " ") ++
            case Parted of
                [] -> "";
                _ -> "/" ++ string:join([Number(Node) || Node <- Parted], " ")
            end)') || return 1
    echo "${text//\'/}"
}

# cut or vanished, if it is one of these.
lost() {
    local table
    for table in cut vanished; do
        if ip netns exec "$name-$1" nft list table inet "$table" >/dev/null 2>&1; then
            echo "$table"
            return
        fi
    done
    return 1
}

# Whether node $1 takes clients, and it and all others that do, and that it can reach, see each
# other.
is_member() {
    local node=$1 peer seen
    takes_clients "$node" && seen=$(view "$node") || return 1
    [[ $seen != */* && " $seen " == *" $node "* ]] || return 1
    ! lost "$node" >/dev/null || return 0
    for peer in $NODES; do
        if [ "$peer" != "$node" ] && ! lost "$peer" >/dev/null && takes_clients "$peer"; then
            [[ " $seen " == *" $peer "* && " $(view "$peer") " == *" $node "* ]] || return 1
        fi
    done
}

is_whole() {
    local node
    for node in $NODES; do takes_clients "$node" || return 1; done
    for node in $NODES; do [ "$(view "$node")" = "1 2 3" ] || return 1; done
}

# Starts node $1 with the data that it has, unless it runs. Does not wait until it has booted.
launch() {
    local node=$1 console="$STATE/$1/console"
    ! is_frozen "$node" || fail "node $node is frozen: thaw it"
    # Two that start the same node at once start it once.
    exec 8>"$STATE/$node.lock"
    flock 8
    if ! process_of "$node" >/dev/null; then
        # The package's own start goes through su, which caps open files at 1024.
        ulimit -n 20000 2>/dev/null || true
        # Idle schedulers must not eat the cores.
        inside "$node" TICKETS_CLUSTER_NODE="$node" \
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none" \
            setsid --fork /usr/lib/rabbitmq/bin/rabbitmq-server >"$console" 2>&1 </dev/null
        wait_for 30 "node $node did not start; see $console" process_of "$node"
    fi
    exec 8>&-
}

# Waits until node $1 is a member; $2 is the time that it has. RabbitMQ 3.10 may end when several
# nodes start at once (`incompatible_feature_flags`, or `combine_error` of its tables): it is
# launched again, as a supervisor does. One that ends each time is seen at once.
until_member() {
    local node=$1 seconds=$2 deadline=$((SECONDS + $2)) launches=1 console="$STATE/$1/console"
    until is_member "$node"; do
        if ! process_of "$node" >/dev/null; then
            [ $launches -lt 3 ] || fail "node $node ended $launches times: $(tail -5 "$console")"
            launch "$node"
            launches=$((launches + 1))
        fi
        [ $SECONDS -lt $deadline ] || fail "node $node is no member after $seconds s: \
$(describe "$node"). \`deploy/cluster.sh reset\` makes the cluster whole; see $console"
        sleep 0.3
    done
}

# --- commands -----------------------------------------------------------------------------

start() {
    local node what
    choose_places
    prepare_machine
    network_up
    node_files
    for node in $NODES; do
        if what=$(lost "$node") || { is_frozen "$node" && what=frozen; }; then
            fail "node $node is $what: \`deploy/cluster.sh reset\` makes the cluster whole"
        fi
    done
    # All at once: of nodes that were all down, each may have to wait for another.
    for node in $NODES; do launch "$node"; done
    for node in $NODES; do until_member "$node" $START_SECONDS; done
    wait_for 30 "the nodes don't see each other; \`deploy/cluster.sh reset\`" is_whole
    write_env
}

process_or_fail() {
    process_of "$1" || fail "node $1 does not run"
}

kill_node() {
    local pid
    if pid=$(process_of "$1"); then
        kill -KILL "$pid"
        wait_for 10 "node $1, process $pid, does not end" is_gone "$pid"
    fi
    say "node $1 is down"
}

stop_node() {
    local pid
    ! is_frozen "$1" || fail "node $1 is frozen and can't stop: thaw or kill it"
    if pid=$(process_of "$1"); then
        kill -TERM "$pid"
        wait_for $STOP_SECONDS "node $1 did not stop in $STOP_SECONDS s: kill it" is_gone "$pid"
    fi
    say "node $1 is down"
}

run_node() {
    launch "$1"
    until_member "$1" $START_SECONDS
    say "node $1 is a member"
}

freeze_node() {
    kill -STOP "$(process_or_fail "$1")"
    wait_for 10 "node $1 does not freeze" is_frozen "$1"
    say "node $1 is frozen"
}

thaw_node() {
    kill -CONT "$(process_or_fail "$1")"
    say "node $1 is thawed"
}

# What comes from and goes to its peers is dropped, connections that are open included.
cut_node() {
    local peer peers=()
    for peer in $NODES; do [ "$peer" = "$1" ] || peers+=("$subnet.$peer"); done
    rules "$1" cut "$(IFS=, && echo "ip saddr { ${peers[*]} } drop")" \
        "$(IFS=, && echo "ip daddr { ${peers[*]} } drop")"
    say "node $1 is cut off from the other two"
}

vanish_node() {
    rules "$1" vanished 'iifname != "lo" drop' 'oifname != "lo" drop'
    say "node $1 has vanished"
}

# Table $2 of node $1, with a rule for what comes in and one for what goes out.
rules() {
    ip netns exec "$name-$1" nft -f - <<NFT
add table inet $2
delete table inet $2
table inet $2 {
    chain in { type filter hook input priority 0; $3; }
    chain out { type filter hook output priority 0; $4; }
}
NFT
}

heal_node() {
    heal_quietly "$1"
    say "node $1 is reached by all again"
}

heal_quietly() {
    local table
    for table in cut vanished; do
        ip netns exec "$name-$1" nft delete table inet "$table" 2>/dev/null || true
    done
}

leader() {
    local queue=$1 node answer
    [[ $queue =~ ^[A-Za-z0-9._:~-]+$ ]] || fail "which quorum queue?"
    for node in $NODES; do
        takes_clients "$node" || continue
        answer=$(erlang "$node" "
            {ok, _, {_, Leader}} =
                ra:members({binary_to_atom(<<\"%2F_$queue\">>, utf8), node()}, 3000),
            list_to_atom(lists:last(string:tokens(atom_to_list(Leader), \".\")))") || continue
        echo "${answer//\'/}"
        return
    done
    fail "no node knows a leader of the quorum queue $queue"
}

# In a word or two, what node $1 does.
describe() {
    local what
    if ! process_of "$1" >/dev/null; then
        what="down"
    elif is_frozen "$1"; then
        what="frozen"
    elif takes_clients "$1"; then
        what="running"
    else
        # It boots, or has paused because it is in a minority.
        what="takes no clients"
    fi
    echo "$what$(lost "$1" | sed 's/^/, /')"
}

status() {
    local node what seen
    for node in $NODES; do
        what=$(describe "$node") seen=
        case "$what" in
        running*)
            seen="RabbitMQ $(erlang "$node" 'rabbit_misc:version()' | tr -d '"')"
            seen+=", sees $(view "$node")"
            ;;
        esac
        echo "$node  $subnet.$node  $what${seen:+, $seen}"
    done
}

# Whether the cluster gets whole in $1 seconds. Does not wait on when it is split for longer
# than nodes need to find each other again.
gets_whole() {
    local deadline=$((SECONDS + $1)) split=$SECONDS
    until is_whole; do
        is_split || split=$SECONDS
        [ $SECONDS -lt $deadline ] && [ $((SECONDS - split)) -lt 8 ] || return 1
        sleep 0.3
    done
}

# How much node $1 sees of the others and trusts them; 0 if it takes no clients.
standing() {
    local seen='' apart
    ! takes_clients "$1" || seen=$(view "$1") || seen=''
    apart=${seen#"${seen%/*}"}
    echo $((10 * ${#seen} - 11 * ${#apart}))
}

# The node that sees most of the others and trusts most of them: these follow it.
best_node() {
    local node score best='' most=0
    for node in $NODES; do
        score=$(standing "$node")
        if [ "$score" -gt "$most" ]; then best=$node most=$score; fi
    done
    [ -n "$best" ] && echo "$best"
}

# Of the others than node $1, the one that sees and trusts least.
worst_node() {
    local node score worst='' least
    for node in $NODES; do
        [ "$node" != "$1" ] || continue
        score=$(standing "$node")
        if [ -z "$worst" ] || [ "$score" -lt "$least" ]; then worst=$node least=$score; fi
    done
    echo "$worst"
}

# All are there, and some don't see or don't trust each other.
is_split() {
    local node
    for node in $NODES; do takes_clients "$node" || return 1; done
    ! is_whole
}

# Node $2 as if it were new, in the cluster of node $1, with a member of every quorum queue.
renew() {
    local node=$2
    say "node $node can't come back with its data and joins without them"
    kill_node "$node" >/dev/null
    erlang "$1" "rabbit_quorum_queue:shrink_all('rabbit@$subnet.$node'), ok" >/dev/null || true
    ctl "$1" -q forget_cluster_node "rabbit@$subnet.$node" >>"$STATE/reset.log" 2>&1 || true
    rm -rf "$STATE/$node/mnesia"
    launch "$node"
    until_member "$node" $START_SECONDS
    erlang "$1" "All = <<\".*\">>,
        rabbit_quorum_queue:grow('rabbit@$subnet.$node', All, All, all), ok" >/dev/null || true
}

# A node that has just started may take its time to answer.
usual_memory() {
    erlang "$1" "vm_memory_monitor:set_vm_memory_high_watermark({absolute, \"$MEMORY\"})"
}

reset() {
    local node best
    if ! has_cluster; then
        start
        return
    fi
    choose_places
    prepare_machine
    network_up
    node_files
    for node in $NODES; do
        heal_quietly "$node"
        ! is_frozen "$node" || kill -CONT "$(process_of "$node")"
    done
    for node in $NODES; do launch "$node"; done
    # A node that was cut off pauses and starts again by itself. One that does not trust the
    # others, or waits for them, has to be started again.
    gets_whole $((20 + 2 * net_ticktime)) || restart_others
    gets_whole 90 || restart_others
    gets_whole 90 || renew_others
    gets_whole $START_SECONDS || fail "the nodes are no cluster:"$'\n'"$(status)"
    for node in $NODES; do
        wait_for 30 "node $node keeps its watermark of memory" usual_memory "$node"
    done
    write_env
}

# What the best node does not see. Whoever distrusts somebody is restarted alone: the queues keep
# their majority, and what one distrusts, all forget once that has stopped.
restart_others() {
    local node best seen='' others=()
    if best=$(best_node); then seen=$(view "$best") || true; fi
    for node in $NODES; do
        [[ " ${seen%/*} " == *" $node "* ]] || others+=("$node")
    done
    [ ${#others[@]} -gt 0 ] || others=("$(worst_node "$best")")
    say "restarts what does not see or trust the others: ${others[*]}"
    for node in "${others[@]}"; do kill_node "$node"; done
    for node in "${others[@]}"; do launch "$node"; done
}

renew_others() {
    local node best
    if best=$(best_node); then
        for node in $NODES; do
            [ "$node" = "$best" ] || is_member "$node" || renew "$best" "$node"
        done
    else
        say "no node comes back: all of them start without their data"
        for node in $NODES; do kill_node "$node"; done
        for node in $NODES; do rm -rf "$STATE/$node/mnesia"; done
        for node in $NODES; do launch "$node"; done
    fi
}

stop_all() {
    local node pid pids=()
    for node in $NODES; do
        if pid=$(process_of "$node"); then
            kill -TERM "$pid"
            # What a frozen one was sent it gets when it is thawed.
            kill -CONT "$pid"
            pids+=("$pid")
        fi
    done
    for pid in "${pids[@]}"; do
        wait_for $STOP_SECONDS "process $pid did not stop in $STOP_SECONDS s: kill its node" \
            is_gone "$pid"
    done
    rm -f "$ENV_FILE"
    say "all nodes are down; their data stay"
}

destroy() {
    local node pid
    if has_cluster; then
        for node in $NODES; do
            # Whatever runs in a namespace of this cluster is of this cluster.
            for pid in $(ip netns pids "$name-$node" 2>/dev/null); do
                kill -KILL "$pid" 2>/dev/null || true
                wait_for 10 "process $pid does not end" is_gone "$pid"
            done
        done
        network_down
    fi
    rm -rf "$STATE" "$ENV_FILE"
    say "the cluster of ${STATE#"$PWD"/} and its data are gone"
}

case "${1:-}" in
start | reset | stop-all | destroy | status | leader | ctl) ;;
kill | stop | run | freeze | thaw | cut | vanish | heal)
    [[ " $NODES " == *" ${2:-none} "* ]] || fail "which node is to $1: 1, 2 or 3?"
    ;;
*) fail "what is ${1:-nothing}? See the head of deploy/cluster.sh" ;;
esac

mkdir -p "$STATE"
[ -w "$STATE" ] || fail "$STATE is not yours to write: run this as its owner, \
$(stat -c %U "$STATE")"
exec 9>"$STATE/lock"
# Single nodes may be broken at once, but not while all of them are started or removed.
case "$1" in
start | reset | stop-all | destroy) flock 9 ;;
status | leader | ctl) ;;
*) flock -s 9 ;;
esac
read_places
case "$1" in
start | reset | destroy) ;;
*) has_cluster || fail "$STATE has no cluster: \`deploy/cluster.sh start\`" ;;
esac
case "$1" in
kill | stop | run | freeze | thaw | cut | vanish | heal) "$1_node" "$2" ;;
stop-all) stop_all ;;
ctl)
    shift
    ctl "$@"
    ;;
leader) leader "${2:-}" ;;
*) "$1" ;;
esac
