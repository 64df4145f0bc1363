#!/bin/sh
# Pin everything that pyproject.toml asks for, with hashes, for every platform and Python from 3.11.
# The files name no index and no address: whoever installs uses the index they are set up with.
# Pins that still fit are kept; `UPGRADE=--upgrade make lock` takes the newest versions.
set -eu

uv=$1
compile() {
    output=$1
    shift
    "$uv" pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header ${UPGRADE:-} \
        --group build --extra agentos "$@" --output-file "$output" pyproject.toml
    echo "wrote $output: $(grep -c '^[a-z0-9]' "$output") packages"
}

compile constraints.txt
compile constraints-dev.txt --constraint constraints.txt --extra dev \
    --extra redis --extra rabbitmq --extra nats --extra otlp

# The newest published client, for the conformance tests, in an environment of its own.
output=tests/conformance/python/constraints-0.25.txt
echo "iii-sdk==0.25.0" | "$uv" pip compile --quiet --no-config --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
    ${UPGRADE:-} --output-file "$output" -
echo "wrote $output: $(grep -c '^[a-z0-9]' "$output") packages"
