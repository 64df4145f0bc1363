#!/bin/sh
# Print the Python to build .venv with: the one in $PYTHON, else the first that runs, is new enough
# and can make virtual environments. Names on PATH that do not start (version managers leave such
# shims behind) are passed over.
set -u

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

tried=""
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3 python}; do
    command -v "$name" >/dev/null 2>&1 || continue
    version=$("$name" --version 2>/dev/null) || continue
    tried="$tried
  $name: $version"
    "$name" -c "$new_enough" 2>/dev/null || continue
    if "$name" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$name"
        exit 0
    fi
    tried="$tried, but without venv (on Debian: apt install python3-venv)"
done

echo "AgentOS needs Python 3.11 or newer with the venv module.${tried:+ Found:$tried}" >&2
echo "Install one, or name it: make PYTHON=/path/to/python3" >&2
exit 1
