#!/usr/bin/env bash
# Trains adapters, each into $OUT/peft/NAME, and makes what is missing of their data by the numbered steps:
#     bash scripts/train.sh NAME...
# NAME is experienced_agent, agent_model, world_model, merge, explicit_state, nat, knowagent, eto,
# agent_model_expert_only, world_model_expert_only (both from knowledge without the rejected side) or
# unified_world_model (on the data of all $TASKS, each in ../TASK beside $OUT); "base" needs nothing, "state_base" is the
# base of triplets in the world model's embeddings, "state_base_explored" the same with those of won explored trajectories.
# NAME_seed2 is another training run of experienced_agent, agent_model or world_model: the same data, --seed 2 in place
# of the recipe's. What is trained is left alone, also where only the adapter is there (a shipped one); a run that was
# stopped goes on. $SHIPPED is a folder of trained adapters that are taken where $OUT/peft has none. Other settings:
# scripts/settings.sh; a 7B backbone on four GPUs:
#     OUT=outputs/mistral-7b/alfworld EXP_CONFIG=alfworld RECIPE=configs/train/mistral.json \
#         ACCELERATE=configs/accelerate/ddp_4gpu_config.yaml bash scripts/train.sh agent_model world_model
source "$(dirname "$0")/settings.sh"
eto_recipe=${RECIPE%.json}_eto.json
[ -e "$eto_recipe" ] || eto_recipe=configs/train/eto.json

made() { # FILE STEP...: the steps that make $OUT/FILE, where there is none
    local file=$1 name
    shift
    [ -e "$OUT/$file" ] || for name in "$@"; do bash "scripts/$name.sh"; done
}

data() { # MODE FILE [NAME]: $OUT/sft/NAME.json, training data of MODE from $OUT/FILE, where it is older than that
    local name=${3:-$1}
    [ "$OUT/sft/$name.json" -nt "$OUT/$2" ] || python train_data_process.py --task "$TASK" --file_path "$OUT/$2" \
        --mode "$1" --output_path "$OUT/sft/$name.json"
}

fit() { # NAME DATASETS RECIPE... [--flag value ...]
    local name=$1 datasets=$2 seed=()
    shift 2
    [[ $name != *_seed* ]] || seed=(--seed "${name##*_seed}")
    accelerate launch --quiet --config_file "$ACCELERATE" train/train_bash.py "$@" "${seed[@]}" \
        ${BASE_MODEL:+--model_name_or_path "$BASE_MODEL"} --dataset_dir "$OUT/sft" --dataset "$datasets" \
        --output_dir "$OUT/peft/$name"
}

expert_states() { # STATES: the expert's trajectories with state knowledge, in pairs or, where nothing was explored, alone
    STATES=$OUT/pairs_state.json
    [ ! -e "$STATES" ] || return 0
    STATES=$OUT/expert_state.json
    made expert.json 01_expert_trajectories
    [ -e "$STATES" ] || python world_knowledge_build.py --dataset_path "$OUT/expert.json" --task "$TASK" \
        --gen state_knowledge --model_name "$KNOWLEDGE_MODEL" --output_path "$STATES"
}

expert_only() {
    expert_states
    [ -e "$OUT/pairs_expert_only.json" ] || python world_knowledge_build.py --dataset_path "$STATES" \
        --task "$TASK" --gen task_knowledge --expert_only --model_name "$KNOWLEDGE_MODEL" \
        --output_path "$OUT/pairs_expert_only.json"
    data "${1%_expert_only}" pairs_expert_only.json "$1"
    fit "$1" "$1.json" "$RECIPE"
}

unified_world_model() { # one model for all tasks, shared by their folders
    local home datasets=() task
    home=$(realpath "$OUT/..")
    for task in $TASKS; do
        datasets+=("$home/$task/sft/world_model.json")
        [ -e "${datasets[-1]}" ] || { echo "error: ${datasets[-1]} is missing: run TASK=$task OUT=$home/$task" \
            "bash scripts/train.sh world_model first" >&2; exit 1; }
    done
    fit ../../unified_world_model "$(IFS=,; echo "${datasets[*]}")" "$RECIPE"
    ln -sfn ../../unified_world_model "$OUT/peft/unified_world_model"
}

state_base_explored() { # ours: what the experienced agent did where it won, also after a refused action
    local explored=$OUT/experienced_agent/${EXP_CONFIG}_explore/train
    [ -e "$OUT/explored.json" ] || python -m eval_agent.trajectories.explored --explored_dir "$explored" \
        --output_path "$OUT/explored.json"
    [ -e "$OUT/explored_state.json" ] || python world_knowledge_build.py --dataset_path "$OUT/explored.json" \
        --task "$TASK" --gen state_knowledge --model_name "$KNOWLEDGE_MODEL" --output_path "$OUT/explored_state.json"
    python state_base_build.py --state_file_path "$OUT/pairs_state.json" --explored_path "$OUT/explored_state.json" \
        --state_action_pair_path "$OUT/state_action_pair_explored.json" --vector_cache_path "$OUT/state_base_explored" \
        --exp_config "$EXP_CONFIG" --encoder_model "$OUT/peft/world_model"
}

known() { # before anything is trained
    if [[ $1 =~ ^(experienced_agent|agent_model|world_model)_seed([2-9]|[1-9][0-9]+)$ ]]; then return; fi
    case $1 in
        base | state_base | state_base_explored | experienced_agent | agent_model | world_model | explicit_state | merge | \
            nat | knowagent | eto | agent_model_expert_only | world_model_expert_only | unified_world_model) ;;
        *) echo "error: train.sh: unknown adapter \"$1\"" >&2; exit 2 ;;
    esac
}

is_trained() { # NAME: whether its adapter is there, or is shipped; one of a run of our own is checked by the training itself
    local folder=$OUT/peft/$1
    if [ ! -e "$folder" ] && [ -n "$SHIPPED" ] && [ -e "$SHIPPED/$1/train_results.json" ]; then
        rm -rf "$folder.new" && mkdir -p "$OUT/peft" && cp -rL "$SHIPPED/$1" "$folder.new"
        touch "$folder.new/shipped" && mv "$folder.new" "$folder"
        echo "$1: shipped, taken from $SHIPPED"
    fi
    [ -e "$folder/train_results.json" ] && { [ -e "$folder/shipped" ] || [ ! -e "$OUT/sft" ]; }
}

state_base() {
    adapter world_model
    expert_states
    STATES=$STATES bash scripts/09_state_base.sh
}

adapter() {
    local knowledge=(05_task_knowledge 06_state_knowledge) mode=${1%_seed*}
    case $1 in
        base) return ;;
        state_base | state_base_explored) [ ! -e "$OUT/$1/meta.json" ] || return 0 ;;
        *) ! is_trained "$1" || return 0 ;;
    esac
    case $mode in
        experienced_agent)
            made expert.json 01_expert_trajectories
            data experienced_agent expert.json
            fit "$1" experienced_agent.json "$RECIPE"
            return ;;
        state_base) state_base; return ;;
        *_expert_only) expert_only "$1"; return ;;
    esac
    if [ ! -e "$OUT/pairs.json" ]; then
        is_trained experienced_agent || [ -e "$OUT/peft/experienced_agent/train_results.json" ] || adapter experienced_agent
        made pairs.json 03_explore 04_pairs
    fi
    case $mode in
        agent_model | world_model | explicit_state)
            made pairs_state.json "${knowledge[@]}"
            data "$mode" pairs_state.json
            fit "$1" "$mode.json" "$RECIPE" ;;
        merge)
            made pairs_state.json "${knowledge[@]}"
            data agent_model pairs_state.json
            data world_model pairs_state.json
            fit merge agent_model.json,world_model.json "$RECIPE" ;;
        nat | knowagent)
            data "$1" pairs.json
            fit "$1" "$1.json" "$RECIPE" ;;
        eto)
            data eto pairs.json
            fit eto eto.json "$RECIPE" "$eto_recipe" --adapter_name_or_path "$OUT/peft/experienced_agent" ;;
        state_base_explored)
            adapter world_model
            made pairs_state.json "${knowledge[@]}"
            state_base_explored ;;
        unified_world_model) unified_world_model ;;
    esac
}

[ $# -gt 0 ] || { echo "usage: train.sh NAME... (see the script's first lines)" >&2; exit 2; }
for name in "$@"; do
    known "$name"
done
for name in "$@"; do
    adapter "$name"
done
