#!/usr/bin/env bash
# The experienced agent: LoRA SFT on the expert trajectories, without knowledge.
source "$(dirname "$0")/settings.sh"
python train_data_process.py --task "$TASK" --file_path "$OUT/expert.json" \
    --mode experienced_agent --output_path "$OUT/sft/experienced_agent.json"
accelerate launch --config_file "$ACCELERATE" train/train_bash.py "$RECIPE" \
    --model_name_or_path "$BASE_MODEL" --dataset_dir "$OUT/sft" --dataset experienced_agent.json \
    --output_dir "$OUT/peft/experienced_agent"
