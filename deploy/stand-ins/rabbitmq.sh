#!/bin/bash
# Stands in for the entrypoint of the image `rabbitmq` where no registry is reached. The
# server itself reads RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
    find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
    exec gosu rabbitmq "$0" "$@"
fi
export RABBITMQ_LOGS=- RABBITMQ_CONFIG_FILES=/etc/rabbitmq/conf.d
[ "${1:-}" != rabbitmq-server ] || { shift && set -- /usr/lib/rabbitmq/bin/rabbitmq-server "$@"; }
exec "$@"
