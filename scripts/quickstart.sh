#!/usr/bin/env bash
# The whole chain at small scale with the tiny base model: install, 12 steps, a table.
#     bash scripts/quickstart.sh [--task alfworld | sciworld | webshop]
# Run again, it reuses what is done; OUT=... puts it elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
case "$*" in
    "") ;;
    "--task alfworld" | "--task sciworld" | "--task webshop") export TASK=$2 ;;
    *) echo "usage: quickstart.sh [--task alfworld | sciworld | webshop]" >&2; exit 2 ;;
esac
bash scripts/install.sh
trap 'bash scripts/10_serve.sh stop' EXIT
started=$SECONDS
for step in 01_expert_trajectories 02_train_experienced_agent 03_explore 04_pairs 05_task_knowledge \
    06_state_knowledge 07_sft_data 08_train 09_state_base 10_serve 11_evaluate 12_table; do
    printf '\n== %s (%d s)\n' "$step" $((SECONDS - started))
    bash "scripts/$step.sh"
done
printf '\nquickstart finished in %d s\n' $((SECONDS - started))
