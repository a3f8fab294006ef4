#!/usr/bin/env bash
# Trains one model of the paper on data/NAME.json (see configs/train/README.md):
#     bash scripts/train.sh BACKBONE NAME [--flag value ...]
# BACKBONE is mistral, gemma or llama3; NAME is TASK_ROLE with TASK one of alfworld, webshop, sciworld and ROLE one of
# expert, agent_model, world_model, merge, explicit_state, nat, knowagent, eto, eto2; or unified_world_model.
# The adapter goes to $OUT/peft/NAME.
backbone=${1:?BACKBONE} name=${2:?NAME}
shift 2
ACCELERATE=${ACCELERATE:-configs/accelerate/ddp_4gpu_config.yaml} OUT=${OUT:-outputs/$backbone}
source "$(dirname "$0")/settings.sh"
task=${name%%_*} dataset=$name flags=()
recipes=("configs/train/$backbone.json")
case $name in
    unified_world_model) dataset=alfworld_world_model,webshop_world_model,sciworld_world_model ;;
    *_merge) dataset=${task}_agent_model,${task}_world_model ;;
    *_eto) flags=(--adapter_name_or_path "$OUT/peft/${task}_expert") ;;
    *_eto2) flags=(--adapter_name_or_path "$OUT/peft/${task}_eto" --pref_beta 0.5 --learning_rate 5e-7) ;;
esac
[[ $name != *_eto* ]] || recipes+=(configs/train/eto.json)
accelerate launch --config_file "$ACCELERATE" train/train_bash.py "${recipes[@]}" --dataset "$dataset" \
    --output_dir "$OUT/peft/$name" "${flags[@]}" "$@"
