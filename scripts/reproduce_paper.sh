#!/usr/bin/env bash
# The whole paper in order: data, exploration, knowledge, training, evaluation, tables and figures.
#     bash scripts/reproduce_paper.sh --model mistral-7b [--dry_run]
# First an estimate of time and disk for each stage. What exists is kept, so a run that was stopped goes on. MODEL is a
# name in configs/model; the environment can set what scripts/settings.sh lists (ACCELERATE, KNOWLEDGE_MODEL, ...).
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
case "$*" in
    "--model "[!-]*" --dry_run" | "--model "[!-]*) model=$2 dry_run=${3:-} ;;
    *) echo "usage: reproduce_paper.sh --model MODEL [--dry_run]" >&2; exit 2 ;;
esac
experiments=(table1 table2 table3 table4 table7 fig3 fig4 fig5 fig6 fig9 ablations training_runs variants)

python -m eval_agent.report.estimate "$model"
if [ -n "$dry_run" ]; then
    for experiment in "${experiments[@]}"; do
        printf '\n'
        bash scripts/paper.sh "$experiment" "$model" --dry_run
    done
    exit
fi
[ -d "${ALFWORLD_DATA:-$HOME/.cache/alfworld}/json_2.1.1" ] || bash scripts/download_data.sh alfworld
[ -n "${SCIWORLD_INDICES:-}" ] || bash scripts/download_data.sh sciworld
failed=()
for experiment in "${experiments[@]}"; do
    printf '\n== %s\n' "$experiment"
    bash scripts/paper.sh "$experiment" "$model" || failed+=("$experiment")
done
[ ${#failed[@]} = 0 ] || { echo "not complete: ${failed[*]} (the same command goes on)" >&2; exit 1; }
