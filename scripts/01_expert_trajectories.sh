#!/usr/bin/env bash
# Expert trajectories of the train games, with thoughts, each replayed to victory.
# Look at: $OUT/expert.json
source "$(dirname "$0")/settings.sh"
case "$EXP_CONFIG" in
    alfworld_demo) python -m eval_agent.demo.games --output_dir data/demo_games --num_workers "$NUM_WORKERS" ;;
    webshop_demo) python -m eval_agent.demo.shop --output_dir data/demo_shop ;;
esac
python -m eval_agent.trajectories.collect_expert --exp_config "$EXP_CONFIG" --split train --num_workers "$NUM_WORKERS" \
    ${TRAJECTORIES:+--trajectories "$TRAJECTORIES"} $limit --output_path "$OUT/expert.json"
