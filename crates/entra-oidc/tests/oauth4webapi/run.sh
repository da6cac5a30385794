#!/usr/bin/env bash
# Runs verdicts.mjs with the oauth4webapi that the expectations were written against.
#
#   STRANGERS_CACHE  where the package is kept between runs
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${STRANGERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/entra-strangers}/oauth4webapi

if ! cmp --silent "$here/package.json" "$cache/installed.json"; then
    mkdir -p "$cache"
    cp "$here/package.json" "$cache/package.json"
    npm install --prefix "$cache" --silent --no-audit --no-fund >&2
    cp "$here/package.json" "$cache/installed.json"
fi
STRANGERS=$cache exec node "$here/verdicts.mjs"
