#!/usr/bin/env bash
# Run all tests in .venv, two files at a time; arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
bash scripts/install.sh
exec .venv/bin/python -m pytest -n 2 --dist loadfile "$@"
