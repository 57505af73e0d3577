#!/bin/sh
# Finds what the clients of docs/clients need (curl, jq, Node 18 or later with npm), or installs
# Debian's as root.
set -eu

missing() {
    for name in curl jq npm; do
        command -v $name >/dev/null || echo $name
    done
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null || echo nodejs
}

if [ -z "$(missing)" ]; then exit 0; fi
if [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2046 # each is a package
    apt-get install -q -y --no-install-recommends $(missing)
fi
if [ -z "$(missing)" ]; then exit 0; fi
echo "client-tools: not found: $(missing | xargs). Install them; Node has to be 18 or later" >&2
exit 1
