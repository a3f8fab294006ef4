#!/usr/bin/env bash
# Trains what is missing of the adapters that the paper's methods play with: adapters.sh NAME...
# NAME is experienced_agent, agent_model, world_model, merge, explicit_state, nat, knowagent, eto, agent_model_expert_only,
# world_model_expert_only (both from knowledge without the rejected side) or unified_world_model (needs ../alfworld and
# ../sciworld beside $OUT). First the numbered steps make what is missing of their data. "base" needs nothing.
source "$(dirname "$0")/settings.sh"
eto_recipe=${RECIPE%.json}_eto.json
[ -e "$eto_recipe" ] || eto_recipe=configs/train/eto.json

step() { # FILE STEP...: the steps that make FILE, where there is none
    local file=$1 name
    shift
    [ -e "$OUT/$file" ] || for name in "$@"; do bash "scripts/$name.sh"; done
}

data() { # MODE FILE NAME: training data of MODE from FILE
    [ -e "$OUT/sft/$3.json" ] || python train_data_process.py --task "$TASK" --file_path "$OUT/$2" --mode "$1" \
        --output_path "$OUT/sft/$3.json"
}

train() { # NAME DATASETS [FLAG VALUE ...]
    local name=$1 datasets=$2
    shift 2
    accelerate launch --config_file "$ACCELERATE" train/train_bash.py "$RECIPE" --model_name_or_path "$BASE_MODEL" \
        --dataset_dir "$OUT/sft" --dataset "$datasets" --output_dir "$OUT/peft/$name" "$@"
}

expert_only() {
    [ -e "$OUT/pairs_expert_only.json" ] || python world_knowledge_build.py --dataset_path "$OUT/pairs_state.json" \
        --task "$TASK" --gen task_knowledge --expert_only --model_name "$KNOWLEDGE_MODEL" \
        --output_path "$OUT/pairs_expert_only.json"
    data "${1%_expert_only}" pairs_expert_only.json "$1"
    train "$1" "$1.json"
}

eto() {
    data eto pairs.json eto
    accelerate launch --config_file "$ACCELERATE" train/train_bash.py "$RECIPE" "$eto_recipe" \
        --model_name_or_path "$BASE_MODEL" --adapter_name_or_path "$OUT/peft/experienced_agent" \
        --dataset_dir "$OUT/sft" --dataset eto.json --output_dir "$OUT/peft/eto"
}

unified_world_model() { # one model for all tasks, shared by their folders
    local home=$OUT/.. task
    for task in alfworld sciworld; do
        [ -e "$home/$task/sft/world_model.json" ] || { echo "error: $home/$task/sft/world_model.json is missing: run" \
            "TASK=$task OUT=$home/$task bash scripts/adapters.sh world_model first" >&2; exit 1; }
    done
    train ../../unified_world_model "$(realpath "$home")/alfworld/sft/world_model.json,$(realpath "$home")/sciworld/sft/world_model.json"
    ln -sfn ../../unified_world_model "$OUT/peft/unified_world_model"
}

adapter() {
    case $1 in
        experienced_agent) bash scripts/02_train_experienced_agent.sh ;;
        agent_model | world_model | explicit_state) data "$1" pairs_state.json "$1"; train "$1" "$1.json" ;;
        nat | knowagent) data "$1" pairs.json "$1"; train "$1" "$1.json" ;;
        merge)
            data agent_model pairs_state.json agent_model
            data world_model pairs_state.json world_model
            train merge agent_model.json,world_model.json ;;
        *_expert_only) expert_only "$1" ;;
        eto) adapter_if_missing experienced_agent; eto ;;
        unified_world_model) unified_world_model ;;
        *) echo "error: adapters.sh: unknown adapter \"$1\"" >&2; exit 2 ;;
    esac
}

adapter_if_missing() { # training writes train_results.json last
    [ "$1" = base ] || [ -e "$OUT/peft/$1/train_results.json" ] || adapter "$1"
}

step expert.json 01_expert_trajectories
adapter_if_missing experienced_agent
step pairs.json 03_explore 04_pairs
step pairs_state.json 05_task_knowledge 06_state_knowledge
for name in "$@"; do
    adapter_if_missing "$name"
done
[ ! -e "$OUT/peft/world_model/train_results.json" ] || step state_base/meta.json 09_state_base
