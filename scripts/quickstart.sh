#!/usr/bin/env bash
# The whole chain at small scale with the tiny base model: install, 12 steps, a table.
#     bash scripts/quickstart.sh [--model smollm2-135m] [--task alfworld | sciworld | webshop]
# --model smollm2-135m takes a pretrained model instead (scripts/get_backbone.sh), in ALFWorld on official games; it takes
# an hour on two cores. TRAIN_LIMIT (60) and EVAL_LIMIT (16 of each split) set how many games.
# Run again, it reuses what is done; OUT=... puts it elsewhere. How long each step took is kept in $OUT/times.tsv.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
while [ $# -gt 0 ]; do
    case "$1 ${2:-}" in
        "--model smollm2-135m") export MODEL=$2 ;;
        "--task alfworld" | "--task sciworld" | "--task webshop") export TASK=$2 ;;
        *) echo "usage: quickstart.sh [--model smollm2-135m] [--task alfworld | sciworld | webshop]" >&2; exit 2 ;;
    esac
    shift 2
done
source scripts/settings.sh

run() { # STEP: what it does, how long it took here the last time, what to look at when it is done
    local script=scripts/$1.sh begun=$SECONDS last look
    last=$(awk -v step="$1" '$1 == step { last = ", " $2 " s the last time" } END { print last }' "$OUT/times.tsv")
    printf '\n== %s%s\n   %s\n' "$1" "$last" "$(sed -n '2s/^# //p' "$script")"
    bash "$script" || failed "$1" $?
    printf '%s\t%d\t%s\n' "$1" $((SECONDS - begun)) "$(date -u +%FT%TZ)" >> "$OUT/times.tsv"
    look=$(sed -n 's/^# Look at: //p' "$script")
    printf '   took %d s%s\n' $((SECONDS - begun)) "${look:+; look at ${look//\$OUT/$OUT}}"
}

failed() { # STEP CODE
    if [ "$2" -lt 128 ]; then # not stopped by a person
        bash scripts/10_serve.sh stop # so that its ports are not taken for somebody else's
        printf '\n== %s failed; servers say more in %s. This machine:\n' "$1" "$OUT/logs"
        bash scripts/doctor.sh --task "$TASK" || true
    fi >&2
    exit "$2"
}

touch "$OUT/times.tsv"
run install
[ -z "${MODEL:-}" ] || [ -d "data/downloads/$MODEL" ] || bash scripts/get_backbone.sh "$MODEL"
installed=$SECONDS
trap 'bash scripts/10_serve.sh stop' EXIT
for step in 01_expert_trajectories 02_train_experienced_agent 03_explore 04_pairs 05_task_knowledge \
    06_state_knowledge 07_sft_data 08_train 09_state_base 10_serve 11_evaluate 12_table; do
    run "$step"
done
cat << END

== quickstart finished in $((SECONDS - installed)) s after the install
   table   $OUT/table.md (table.csv, by type table_by_type.csv)
   plot    $OUT/table.png (table.pdf)
   viewer  $OUT/viewer.html: every game, step by step, in a browser
   logs    $OUT/logs, of the servers
   times   $OUT/times.tsv, of each step
END
