#!/bin/sh
# The servers that the tests of adapters start on free ports of their own, from Debian's packages.
# Where they cannot be installed it says what is missing, and those tests fail with the same words.
set -eu

PATH=$PATH:/usr/sbin:/sbin
missing=""
for server in redis-server rabbitmq-server nats-server; do
    command -v "$server" >/dev/null || missing="$missing $server"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and needed by the tests of adapters:$missing"
    exit 0
fi
echo "Installing$missing for the tests of adapters"
# Installed to be started by tests only: nothing shall listen on the usual ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
