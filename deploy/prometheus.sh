#!/bin/sh
# Finds the prometheus and promtool that test metrics and alerts, or installs Debian's as root.
set -eu

missing=
for name in "${PROMETHEUS:-prometheus}" "${PROMTOOL:-promtool}"; do
    command -v "$name" >/dev/null || missing="$missing $name"
done
if [ -z "$missing" ]; then exit 0; fi
if [ -n "${PROMETHEUS:-}${PROMTOOL:-}" ]; then
    echo "prometheus: PROMETHEUS or PROMTOOL is no program:$missing" >&2
    exit 1
fi
if [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # Installed as a package it would start a server, which nobody needs here.
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    (cd "$folder" && apt-get download -q prometheus && dpkg -x prometheus_*.deb .)
    install "$folder/usr/bin/prometheus" "$folder/usr/bin/promtool" /usr/local/bin/
    exit 0
fi
echo "prometheus: not found:$missing. Install Prometheus (Debian: apt-get install prometheus), or set" \
    "PROMETHEUS and PROMTOOL" >&2
exit 1
