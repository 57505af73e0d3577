#!/bin/sh
# Schemathesis against a service in memory. `make test-schema` has installed it and built the service.
set -eu

port=${SCHEMA_PORT:-38431}
url=http://127.0.0.1:$port
APP__SERVER__PORT=$port APP__LOG__LEVEL=error target/debug/tickets serve &
service=$!
trap 'kill $service' EXIT
for _ in $(seq 100); do
    curl -fs "$url/health/ready" >/dev/null && break
    kill -0 $service
    sleep 0.1
done
# It leaves what it has seen in the folder where it runs.
cd .local
schemathesis/bin/st --config-file ../deploy/schemathesis.toml run "$url/openapi.json" --checks all --exclude-method OPTIONS \
    --exclude-path /ws --max-examples "$SCHEMA_CASES" --seed "$SCHEMA_SEED" --no-color "$@"
