#!/usr/bin/env bash
# State knowledge for every step of every expert trajectory.
# Look at: $OUT/pairs_state.json
source "$(dirname "$0")/settings.sh"
python world_knowledge_build.py --dataset_path "$OUT/pairs_task.json" --task "$TASK" --gen state_knowledge \
    --model_name "$KNOWLEDGE_MODEL" --output_path "$OUT/pairs_state.json"
