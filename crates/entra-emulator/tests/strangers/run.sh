#!/usr/bin/env bash
# Lets clients that others wrote use the local tenant: MSAL for Python, the Azure CLI, openid-client
# and jose.
#
#   ENTRA_EMULATOR   the program to test; built with cargo by default
#   STRANGERS_CACHE  where the environments of Python and Node are kept between runs
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${STRANGERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/entra-strangers}
# Versions that the expectations were written against.
packages=(msal==1.39.0 azure-cli==2.91.0 cryptography requests)
modules=(openid-client@6.8.9 jose@6.2.17)

stamp=$cache/installed
if [[ "$(cat "$stamp" 2>/dev/null || true)" != "${packages[*]}" ]]; then
    mkdir -p "$cache"
    python3 -m venv --clear "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
    echo "${packages[*]}" >"$stamp"
fi

command -v npm >/dev/null || { echo "npm is missing" >&2; exit 1; }
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' ||
    { echo "openid-client needs Node.js 20 or later" >&2; exit 1; }
stamp=$cache/installed-modules
if [[ "$(cat "$stamp" 2>/dev/null || true)" != "${modules[*]}" ]]; then
    rm -rf "$cache/npm"
    mkdir -p "$cache/npm"
    npm install --prefix "$cache/npm" --no-audit --no-fund --no-package-lock --ignore-scripts \
        --loglevel error "${modules[@]}" >/dev/null
    echo "${modules[*]}" >"$stamp"
fi

if [[ -z "${ENTRA_EMULATOR:-}" ]]; then
    cargo build --quiet --manifest-path "$here/../../Cargo.toml"
    target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$here/../../Cargo.toml" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    ENTRA_EMULATOR=$target/debug/entra-emulator
fi

work=$(mktemp -d)
emulator=
finish() {
    # Where something went wrong the tenant still runs.
    [[ -z "$emulator" ]] || kill -TERM "$emulator" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

RUST_LOG=${RUST_LOG:-info} "$ENTRA_EMULATOR" --listen 127.0.0.1:0 --dir "$work/tenant" \
    --external-id contoso >"$work/line.json" 2>"$work/tenant.log" &
emulator=$!
for _ in $(seq 100); do
    [[ -s "$work/line.json" ]] && break
    kill -0 "$emulator" 2>/dev/null || { cat "$work/tenant.log" >&2; exit 1; }
    sleep 0.1
done

# requests prefers these over what a client is told; the clients name the authority themselves.
unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE HTTPS_PROXY https_proxy ALL_PROXY all_proxy
export TENANT_LINE=$work/line.json
export AZURE_CONFIG_DIR=$work/azure
# The Azure CLI writes private keys to the home folder.
export HOME=$work
status=0
for client in msal_client.py azure_cli.py; do
    "$cache/venv/bin/python" "$here/$client" || status=1
done
# Modules are looked for beside the file that imports them.
ln -s "$cache/npm/node_modules" "$work/node_modules"
cp "$here/openid_client.mjs" "$work/"
ca=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["ca"])' "$work/line.json")
NODE_EXTRA_CA_CERTS=$ca node "$work/openid_client.mjs" || status=1
if [[ $status -ne 0 ]]; then
    echo "--- last requests of the tenant" >&2
    tail -n 40 "$work/tenant.log" >&2
fi

kill -TERM "$emulator"
if wait "$emulator"; then
    echo "ok      tenant: ends cleanly on SIGTERM"
else
    echo "failed  tenant: ends with $? on SIGTERM" >&2
    status=1
fi
emulator=
exit $status
