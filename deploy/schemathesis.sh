#!/bin/sh
# Finds the Schemathesis of deploy/schemathesis.txt, or installs it into .local with all that it needs.
set -eu
cd "$(dirname "$0")/.."

folder=.local/schemathesis
if [ -n "${SCHEMATHESIS:-}" ]; then
    command -v "$SCHEMATHESIS" >/dev/null && exit 0
    echo "schemathesis: SCHEMATHESIS is $SCHEMATHESIS, which is no program" >&2
    exit 1
fi
if cmp -s deploy/schemathesis.txt $folder/installed.txt; then exit 0; fi
if [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ] && ! python3 -c 'import ensurepip' 2>/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends python3-venv
fi
rm -rf $folder
python3 -m venv $folder
$folder/bin/pip install --quiet --requirement deploy/schemathesis.txt
cp deploy/schemathesis.txt $folder/installed.txt
