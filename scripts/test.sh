#!/usr/bin/env bash
# Run all tests in .venv, two files at a time; arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
bash scripts/install.sh
# in the order of their names: the order by number of tests leaves the long ones, which wait for the same ports, for last
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
