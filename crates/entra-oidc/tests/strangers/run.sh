#!/usr/bin/env bash
# Lets a provider that others wrote, and a real browser, use the example oidc_login.
#
#   OIDC_LOGIN       the example; built with cargo by default
#   ENTRA_EMULATOR   the local tenant, for the browser; built with cargo by default
#   STRANGERS_CACHE  where packages are kept between runs
#   STRANGERS_SHOTS  a folder for pictures of the pages; none are kept without it
#
# The provider is npm oidc-provider; the browser is Chromium with its driver.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${STRANGERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/entra-strangers}
# The version that the expectations were written against.
packages=(oidc-provider@9.13.3)

modules=$cache/oidc-provider
if [[ "$(cat "$modules/installed" 2>/dev/null || true)" != "${packages[*]}" ]]; then
    mkdir -p "$modules"
    [[ -f "$modules/package.json" ]] || echo '{"private": true}' >"$modules/package.json"
    npm install --silent --no-audit --no-fund --prefix "$modules" "${packages[@]}"
    echo "${packages[*]}" >"$modules/installed"
fi

if [[ -z "${OIDC_LOGIN:-}" || -z "${ENTRA_EMULATOR:-}" ]]; then
    workspace=$here/../../../..
    cargo build --quiet --manifest-path "$workspace/Cargo.toml" -p entra-emulator --bins
    cargo build --quiet --manifest-path "$workspace/Cargo.toml" -p entra-examples --example oidc_login
    target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$workspace/Cargo.toml" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    OIDC_LOGIN=${OIDC_LOGIN:-$target/debug/examples/oidc_login}
    ENTRA_EMULATOR=${ENTRA_EMULATOR:-$target/debug/entra-emulator}
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An authority of a test, and a certificate for localhost.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=strangers" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
    -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
    -keyout "$work/tls.key" -out "$work/tls.csr" 2>/dev/null
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 2 \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n') \
    -out "$work/tls.pem" 2>/dev/null

unset HTTPS_PROXY https_proxy HTTP_PROXY http_proxy ALL_PROXY all_proxy
export NO_PROXY=localhost,127.0.0.1
export OIDC_LOGIN ENTRA_EMULATOR STRANGERS_TLS=$work STRANGERS_MODULES=$modules
export NODE_EXTRA_CA_CERTS=$work/ca.pem NODE_NO_WARNINGS=1 RUST_LOG=${RUST_LOG:-error}
status=0
node "$here/check.mjs" 2>"$work/log" || status=1
if command -v chromedriver >/dev/null && command -v chromium >/dev/null; then
    node "$here/chromium.mjs" 2>>"$work/log" || status=1
else
    echo "failed  Chromium: chromium and chromium-driver are not installed" >&2
    status=1
fi
if [[ $status -ne 0 ]]; then
    echo "--- what the programs said last" >&2
    tail -n 40 "$work/log" >&2
fi
exit $status
