#!/bin/sh
# Finds a Chromium for the tests of how reports look, or installs Debian's as root.
set -eu

if [ -n "${CHROMIUM:-}" ]; then
    command -v "$CHROMIUM" >/dev/null && exit 0
    echo "browser: CHROMIUM is $CHROMIUM, which is no program" >&2
    exit 1
fi
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core
    exit 0
fi
echo "browser: no Chromium. Install it (Debian: apt-get install chromium), or set CHROMIUM to the program" >&2
exit 1
