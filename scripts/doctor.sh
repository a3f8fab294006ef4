#!/usr/bin/env bash
# What this machine has for the quickstart, a line each, and what to do about each that is not in order:
#     bash scripts/doctor.sh [--task alfworld | sciworld | webshop]
# Exit code 0 where the quickstart could run. Reads what scripts/settings.sh does; needs nothing but Python.
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x $python ] || python=${PYTHON:-$(command -v python3.11 || command -v python3)}
"${python:-none}" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    echo "FAULT python    ${python:-none} is no Python 3.11: install it, or name one with PYTHON=/path/to/python3.11"
    exit 1
}
exec "$python" -m eval_agent.report.doctor "$@"
