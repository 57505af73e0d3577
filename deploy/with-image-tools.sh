#!/usr/bin/env bash
# Runs a command with a PATH that has only the programs of the image in which deploy/Dockerfile
# compiles, as far as this machine has them: Debian's essential packages, a C compiler and its
# library, which the slim Rust image adds, what the Dockerfile installs, and Rust. What builds
# this way builds in the image. Needs Debian; elsewhere the command runs as it is, and says so.
#
#   deploy/with-image-tools.sh cargo build --release
set -euo pipefail

cd "$(dirname "$0")/.."
if ! command -v dpkg-query >/dev/null; then
    echo "with-image-tools: no Debian, so this proves nothing about the image" >&2
    exec "$@"
fi

# All that a package needs, itself included.
needed() {
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances --no-pre-depends "$@" | grep -E '^[a-z0-9]' | sort -u
}

installed=$(sed -n 's/.*apt-get install -y --no-install-recommends \([a-z0-9 +.-]*\).*/\1/p' deploy/Dockerfile)
essential=$(dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p')
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
# shellcheck disable=SC2086 # both are lists of words
for package in $essential apt $(needed gcc libc6-dev ca-certificates $installed); do
    dpkg-query -L "$package" 2>/dev/null
done | sort -u | while read -r file; do
    case "$file" in
    /bin/?* | /sbin/?* | /usr/bin/?* | /usr/sbin/?*)
        if [ -x "$file" ] && [ ! -d "$file" ]; then ln -sf "$file" "$tools/"; fi
        ;;
    esac
done
# Names that packages choose at their installation.
for name in awk cc c99 c89; do
    [ ! -e "/usr/bin/$name" ] || ln -sf "/usr/bin/$name" "$tools/"
done
for name in cargo rustc rustdoc; do ln -sf "$(command -v "$name")" "$tools/"; done
PATH=$tools "$@"
