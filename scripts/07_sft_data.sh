#!/usr/bin/env bash
# SFT conversations for the agent model and the world knowledge model.
# Look at: $OUT/sft/agent_model.json, $OUT/sft/world_model.json
source "$(dirname "$0")/settings.sh"
for mode in agent_model world_model; do
    python train_data_process.py --task "$TASK" --file_path "$OUT/pairs_state.json" \
        --mode "$mode" --output_path "$OUT/sft/$mode.json"
done
