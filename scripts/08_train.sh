#!/usr/bin/env bash
# LoRA SFT of the agent model and of the world knowledge model, two adapters over one base.
source "$(dirname "$0")/settings.sh"
for model in agent_model world_model; do
    accelerate launch --config_file "$ACCELERATE" train/train_bash.py "$RECIPE" \
        --model_name_or_path "$BASE_MODEL" --dataset_dir "$OUT/sft" --dataset "$model.json" \
        --output_dir "$OUT/peft/$model"
done
