#!/usr/bin/env bash
# Task knowledge for every pair.
# Look at: $OUT/pairs_task.json
source "$(dirname "$0")/settings.sh"
python world_knowledge_build.py --dataset_path "$OUT/pairs.json" --task "$TASK" --gen task_knowledge \
    --model_name "$KNOWLEDGE_MODEL" --output_path "$OUT/pairs_task.json"
