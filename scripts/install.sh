#!/usr/bin/env bash
# Make .venv (Python 3.11) and install requirements.txt into it; nothing to do where that is done.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "error: Python 3.11 is needed, $python is $("$python" --version); name one with PYTHON=/path/python3.11" >&2
    exit 2
}
wanted=$(sha256sum requirements.txt)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    echo "== installing requirements.txt into .venv (a few minutes)"
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
    echo "$wanted" > .venv/installed
fi
