#!/usr/bin/env bash
# Pairs of expert (chosen) and explored (rejected) trajectories of the same game.
# Look at: $OUT/pairs.json
source "$(dirname "$0")/settings.sh"
python -m eval_agent.trajectories.build_pairs --expert_path "$OUT/expert.json" \
    --explored_dir "$OUT/experienced_agent/${EXP_CONFIG}_explore/train" --output_path "$OUT/pairs.json"
