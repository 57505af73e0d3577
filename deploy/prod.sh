#!/usr/bin/env bash
# The release build as one process with the production configuration, on this machine's own
# MySQL, RabbitMQ and Redis. What `.env` names comes first. The servers are those of an earlier time,
# with their data; tests never use them.
set -euo pipefail

cd "$(dirname "$0")/.."
ENV=${PROD_ENV:-.env}
STATE=${SERVICES_STATE:-.local/prod}

fail() {
    echo "prod: $*" >&2
    exit 1
}

# Where servers from packages have their data.
data_of() {
    (
        data=$1
        # shellcheck source=/dev/null
        if [ -f "$1/places" ]; then . "$1/places"; fi
        echo "$data"
    )
}

[ -f "$ENV" ] || fail "there is no $ENV with secrets; \`make .env\` makes one"
# shellcheck source=deploy/read-env.sh
. deploy/read-env.sh
read_env "$ENV"
has_mysql=${APP__MYSQL__URL:-}${APP__MYSQL__URLS:-}
has_rabbitmq=${APP__RABBITMQ__URL:-}${APP__RABBITMQ__URLS:-}
if [ -z "$has_mysql" ] || [ -z "$has_rabbitmq" ]; then
    # Releases before servers were kept apart had these sales among the tests' databases.
    if [ ! -e "$STATE" ] && [ -d "$(data_of .local/services)/mariadb/data/tickets" ]; then
        fail "an earlier release sold on the tests' servers. Take them over by \
\`deploy/services.sh stop && mv .local/services $STATE\`, or give these sales up by \
\`deploy/services.sh destroy\`"
    fi
    SERVICES_STATE=$STATE deploy/services.sh
    # shellcheck source=/dev/null
    . "$STATE.env"
    [ -n "$has_mysql" ] || export APP__MYSQL__URL="$TICKETS_TEST_MYSQL_URL/tickets"
    [ -n "$has_rabbitmq" ] || export APP__RABBITMQ__URL="$TICKETS_TEST_RABBITMQ_URL"
    # Used if `.env` sets APP__LIMITS__STORE=redis.
    export APP__REDIS__URL="${APP__REDIS__URL:-$TICKETS_TEST_REDIS_URL}"
fi
export APP__MYSQL__MIGRATE_AT_START="${APP__MYSQL__MIGRATE_AT_START:-true}"
# The service does not know its buyers: other machines reach it through a proxy.
export APP__SERVER__HOST="${APP__SERVER__HOST:-127.0.0.1}"
# So nobody has to prove who they are, unless `.env` says otherwise.
export APP__AUTH__MODE="${APP__AUTH__MODE:-off}"
APP_ENV=production exec target/release/tickets "${@:-serve}"
