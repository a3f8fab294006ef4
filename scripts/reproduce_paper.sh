#!/usr/bin/env bash
# The whole paper in order: data, exploration, knowledge, training, evaluation, tables and figures.
#     bash scripts/reproduce_paper.sh --model mistral-7b [--dry_run]
# After an estimate of time and disk for each stage fetches the data that is missing, then is "paper.sh all". What exists
# is kept, so a run that was stopped goes on. MODEL is a name in configs/model; the environment can set what
# scripts/settings.sh lists (ACCELERATE, KNOWLEDGE_MODEL, ...).
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
case "$*" in
    "--model "[!-]*" --dry_run" | "--model "[!-]*) model=$2 dry_run=${3:-} ;;
    *) echo "usage: reproduce_paper.sh --model MODEL [--dry_run]" >&2; exit 2 ;;
esac
if [ -z "$dry_run" ]; then
    missing=()
    [ -d "${ALFWORLD_DATA:-$HOME/.cache/alfworld}/json_2.1.1" ] || missing+=(alfworld)
    [ -n "${SCIWORLD_INDICES:-}" ] || missing+=(sciworld)
    [ ${#missing[@]} = 0 ] || python -m eval_agent.report.estimate "$model"
    for name in "${missing[@]}"; do
        bash scripts/download_data.sh "$name"
    done
fi
exec bash scripts/paper.sh all "$model" $dry_run
