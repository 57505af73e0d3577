#!/usr/bin/env bash
# The release build as one process with the production configuration, on this machine's own
# MySQL and RabbitMQ. What `.env` names comes first. The servers are those of an earlier time,
# with their data; tests never use them.
set -euo pipefail

cd "$(dirname "$0")/.."
set -a
# shellcheck source=/dev/null
. ./.env
set +a
if [ -z "${APP__MYSQL__URL:-}" ] || [ -z "${APP__RABBITMQ__URL:-}" ]; then
    export SERVICES_STATE="${SERVICES_STATE:-.local/prod}"
    deploy/services.sh
    # shellcheck source=/dev/null
    . "$SERVICES_STATE.env"
    export APP__MYSQL__URL="${APP__MYSQL__URL:-$TICKETS_TEST_MYSQL_URL/tickets}"
    export APP__RABBITMQ__URL="${APP__RABBITMQ__URL:-$TICKETS_TEST_RABBITMQ_URL}"
fi
export APP__MYSQL__MIGRATE_AT_START="${APP__MYSQL__MIGRATE_AT_START:-true}"
APP_ENV=production exec target/release/tickets "${@:-serve}"
