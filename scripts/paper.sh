#!/usr/bin/env bash
# One table or figure of the paper: plays what is missing, then writes it, measured beside published.
#     bash scripts/paper.sh EXPERIMENT [MODEL] [--dry_run | --no_run] [--task TASK] [--retrain] [--episodes FILE]
# EXPERIMENT is a file of configs/paper, MODEL one of configs/model (tiny); table1.sh ... fig9.sh are its doors. "all" is
# every one of them, after an estimate of time and disk. Adapters that are missing are taken from those that are shipped,
# else trained; --retrain trains and plays everything anew, in folders of its own. Models that are served already are used
# and left running. NUM_WORKERS (4) episodes are played side by side. A run that fails costs its cells, the others go on,
# and the same command continues; exit code 1. ENGINE=vllm plays with vLLM (AGENT_CONFIG=openai).
# --episodes makes the table from a file of eval_agent.report.export and plays nothing, as --no_run does from $OUT.
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
[ "${ENGINE:-}" != vllm ] || export AGENT_CONFIG=${AGENT_CONFIG:-openai}
paper() { python -m eval_agent.report.paper "$@"; }

play() { # the planned runs of one task, a line each
    source scripts/settings.sh
    local run fields name names=() served=() code=0 without=" "
    for run in "$@"; do
        IFS=$'\t' read -r -a fields <<< "$run"
        IFS=, read -r -a served <<< "${fields[2]}"
        names+=("${served[@]}")
        [[ $run != *$'\t'--state_base$'\t'* ]] || names+=(state_base)
        [ "${fields[3]}" != explored ] || names+=(state_base_explored)
    done
    mapfile -t names < <(printf '%s\n' "${names[@]}" | awk '!seen[$0]++')
    for name in "${names[@]}"; do
        bash scripts/train.sh "$name" || without+="$name "
    done
    mapfile -t names < <(for name in "${names[@]}"; do
        [[ $name == state_base* || $without == *" $name "* ]] || echo "$name"
    done)
    if ! bash scripts/serve.sh served "${names[@]}"; then
        trap 'bash scripts/serve.sh stop' EXIT
        bash scripts/serve.sh start "${names[@]}" || return 1
    fi
    for run in "$@"; do
        evaluate "$run" || { echo "failed: $(cut -f 1,2 <<< "$run")" >&2; code=1; }
    done
    return $code
}

evaluate() { # one run
    local fields name
    IFS=$'\t' read -r -a fields <<< "$1"
    IFS=, read -r -a served <<< "${fields[2]}"
    for name in "${served[@]}"; do
        [[ $without != *" $name "* ]] || { echo "no adapter $name" >&2; return 1; }
    done
    printf '\n== %s %s\n' "${fields[0]}" "${fields[1]}"
    state_base "${fields[3]}" "${served[-1]}" || return 1
    python -m eval_agent.eto_multi_main_probs "${fields[@]:4}"
}

state_base() { # ENCODER MODEL: of a method with an encoder of its own, made while the models are served
    local cache=$OUT/state_base_${1##*/}
    [ "$1" = - ] || [ "$1" = explored ] || [ -e "$cache/meta.json" ] || python state_base_build.py \
        --exp_config "$EXP_CONFIG" --state_action_pair_path "$OUT/state_action_pair.json" --vector_cache_path "$cache" \
        --encoder "$1" --encoder_model "$2"
}

all() { # [MODEL] and flags
    local experiment flags=" $* " failed=()
    if [[ ! $flags =~ " --"(no_run|episodes)" " ]]; then
        python -m eval_agent.report.estimate $(sed 's/ --dry_run / /' <<< "$flags") || return
    fi
    for experiment in table1 table2 table3 table4 table7 fig3 fig4 fig5 fig6 fig9 ablations training_runs variants; do
        printf '\n== %s\n' "$experiment"
        bash scripts/paper.sh "$experiment" "$@" || failed+=("$experiment")
    done
    [ ${#failed[@]} = 0 ] || { echo "not complete: ${failed[*]} (the same command goes on)" >&2; return 1; }
}

if [ "${1:-}" = all ]; then
    all "${@:2}"
    exit
fi
arguments=()
for argument in "$@"; do
    [ "$argument" = --no_run ] || arguments+=("$argument")
done
if [ ${#arguments[@]} -lt $# ] || [[ " $* " =~ " --"(dry_run|plan|help|episodes)" " ]]; then
    paper "${arguments[@]}"
    exit
fi
plan=$(paper "$@" --plan)
failed=0 settings=() runs=()
play_task() {
    [ ${#runs[@]} = 0 ] || (export "${settings[@]}"; play "${runs[@]}") || failed=1
    runs=()
}
if [[ $plan == *unified_world_model* ]]; then # it reads every task's data, which is made with the task's own world model
    while IFS=$'\t' read -r -a fields; do
        [ "${fields[0]:-}" != task ] || env "${fields[@]:2}" bash scripts/train.sh world_model < /dev/null || failed=1
    done <<< "$plan"
fi
while IFS= read -r line; do
    if [[ $line == task$'\t'* ]]; then
        play_task
        IFS=$'\t' read -r -a fields <<< "$line"
        settings=("${fields[@]:2}")
    elif [ -n "$line" ]; then
        runs+=("$line")
    fi
done <<< "$plan"
play_task
paper "$@"
exit $failed
