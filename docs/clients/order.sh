#!/usr/bin/env bash
# Orders seats, waits for the verdict and confirms: order.sh URL SHOW USER [SEATS].
#
# Needs curl and jq. TOKEN in the environment is the bearer token, where there is one.
# Ends with 0 for a confirmed ticket, with 2 for one that is rejected, and else with 1.
set -euo pipefail

if (($# < 3)); then
    echo "usage: order.sh URL SHOW USER [SEATS], with a URL such as http://localhost:3001" >&2
    exit 1
fi
readonly BASE=${1%/} SHOW=$2 USER_ID=$3 SEATS=${4:-1} ATTEMPTS=8
# The service sends something each 15 s (`live.heartbeat_seconds`): twice that is silence.
readonly SILENCE_SECONDS=30

FOLDER=$(mktemp -d)
readonly FOLDER
trap 'rm -rf "$FOLDER"' EXIT

CURL=(curl -sS)
[[ -z ${TOKEN:-} ]] || CURL+=(--oauth2-bearer "$TOKEN")
readonly CURL

# What the service asks for ($2), or else twice as long each time; never all clients at once.
# Nothing but seconds is taken: something on the way may send a date, or what bash would run.
pause() {
    local ms=$((250 << ($1 < 5 ? $1 : 5)))
    [[ ! ${2:-} =~ ^[1-9][0-9]{0,4}$ ]] || ms=$(($2 * 1000))
    ms=$((ms + RANDOM % (ms / 2 + 1)))
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

header() {
    sed -n "s/^$1: *//Ip" "$FOLDER/head" | tr -d '\r' | tail -1
}

# Repeats what may succeed later. Every request here can be repeated: an order has its key.
# The answer is in $FOLDER/body, its head in $FOLDER/head.
call() {
    local attempt status
    for ((attempt = 0; attempt < ATTEMPTS; attempt++)); do
        : >"$FOLDER/head"
        # Without an answer, or with half of one, it is not known whether it was done.
        status=$("${CURL[@]}" --max-time "$SILENCE_SECONDS" -D "$FOLDER/head" \
            -o "$FOLDER/body" -w '%{http_code}' "$@") || status=000
        case $status in
        2??) return 0 ;;
        000 | 408 | 429 | 5??) pause "$attempt" "$(header Retry-After)" ;;
        *)
            # Programs tell problems by `code`. `hold_expired`: give the money back.
            # `sales_closed`, `show_not_found`: tell the buyer.
            jq -r '"refused, \(.code): \(.detail)", (.errors[]? | "  \(.)")' "$FOLDER/body" >&2 ||
                echo "refused, status $status" >&2
            exit 1
            ;;
        esac
    done
    echo "no answer after $ATTEMPTS attempts" >&2
    exit 1
}

# Reads a stream of events until the verdict, which it leaves in $FOLDER/body.
listen() {
    local line name='' id='' data=''
    while IFS= read -r line; do
        line=${line%$'\r'}
        case $line in
        'event: '*) name=${line#event: } ;;
        'id: '*) id=${line#id: } ;;
        'data: '*) data=${line#data: } ;;
        '')
            [[ -z $id ]] || echo "$id" >"$FOLDER/last_event_id"
            if [[ $name == ticket ]] && jq -e '.status != "processing"' <<<"$data" >/dev/null; then
                echo "$data" >"$FOLDER/body"
                return 0
            elif [[ $name == waiting_line ]]; then
                jq -r '"ahead: \(.estimated_orders_ahead)"' <<<"$data" >&2
            fi
            name='' id='' data=''
            ;;
        esac
    done
    return 1
}

# Listens, and looks itself when a stream does not come or breaks off.
wait_for_verdict() {
    local path=$1 query='' attempt=0 stream last=()
    [[ $path != *\?* ]] || query="?${path#*\?}"
    while true; do
        [[ ! -s $FOLDER/last_event_id ]] || last=(-H "Last-Event-ID: $(<"$FOLDER/last_event_id")")
        exec 3< <(exec "${CURL[@]}" -fN --speed-limit 1 --speed-time "$SILENCE_SECONDS" \
            "${last[@]}" "$BASE${path%%\?*}/events$query" 2>/dev/null)
        stream=$!
        if listen <&3; then
            kill "$stream" 2>/dev/null || true
            return 0
        fi
        call "$BASE$path"
        jq -e '.status == "processing"' "$FOLDER/body" >/dev/null || return 0
        pause "$attempt"
        ((++attempt))
    done
}

# One key for one order, kept where a restart finds it: the same key is the same order.
key=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
order=$(jq -nc --arg show "$SHOW" --arg user "$USER_ID" --argjson seats "$SEATS" \
    '{show_id: $show, user_id: $user, quantity: $seats}')
call "$BASE/tickets" -H "Idempotency-Key: $key" -H 'Content-Type: application/json' -d "$order"
wait_for_verdict "$(header Location)"
if [[ $(jq -r .status "$FOLDER/body") == reserved ]]; then
    # Take the payment here, before `hold_expires_at`.
    call -X POST "$BASE/tickets/$(jq -r .ticket_id "$FOLDER/body")/confirm"
fi
jq -c . "$FOLDER/body"
case $(jq -r .status "$FOLDER/body") in
confirmed) exit 0 ;;
rejected) exit 2 ;;
*) exit 1 ;;
esac
