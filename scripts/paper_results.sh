#!/usr/bin/env bash
# What scripts/table*.sh, fig*.sh and ablations.sh share: paper_results.sh EXPERIMENT [MODEL] [--dry_run | --no_run]
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
exec python -m eval_agent.paper_results "$@"
