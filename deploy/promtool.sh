#!/bin/sh
# Finds a promtool for the test of metrics, or installs Debian's as root.
set -eu

if command -v "${PROMTOOL:-promtool}" >/dev/null; then exit 0; fi
if [ -n "${PROMTOOL:-}" ]; then
    echo "promtool: PROMTOOL is $PROMTOOL, which is no program" >&2
    exit 1
fi
if [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # The package has a server, too, which nobody needs here.
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    (cd "$folder" && apt-get download -q prometheus && dpkg -x prometheus_*.deb .)
    install "$folder/usr/bin/promtool" /usr/local/bin/promtool
    exit 0
fi
echo "promtool: not found. Install Prometheus (Debian: apt-get install prometheus), or set PROMTOOL" >&2
exit 1
