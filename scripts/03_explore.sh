#!/usr/bin/env bash
# The experienced agent plays the train games again: its trajectories are the rejected ones.
# Look at: $OUT/experienced_agent/*_explore/train/summary.json
source "$(dirname "$0")/settings.sh"
trap 'bash scripts/serve.sh stop' EXIT
bash scripts/serve.sh start experienced_agent
python -m eval_agent.eto_multi_main_probs --agent_config "$AGENT_CONFIG" --agent_model_name experienced_agent \
    --exp_config "$EXP_CONFIG" --exp_name explore --split train $limit \
    --output_dir "$OUT" --num_workers "$NUM_WORKERS"
