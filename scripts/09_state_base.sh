#!/usr/bin/env bash
# Action-state-action triplets and their FAISS cache, encoded by the world model's input embeddings.
# Look at: $OUT/state_action_pair.json
source "$(dirname "$0")/settings.sh"
python state_base_build.py --state_file_path "${STATES:-$OUT/pairs_state.json}" \
    --state_action_pair_path "$OUT/state_action_pair.json" --vector_cache_path "$STATE_BASE" \
    --exp_config "$EXP_CONFIG" --encoder_model "$OUT/peft/world_model"
