#!/usr/bin/env bash
# Seen and unseen games (WebShop: its test goals): the agent without knowledge, and planning with the world knowledge model.
# Look at: $OUT/agent_model/*_eval/*/summary.json
source "$(dirname "$0")/settings.sh"
evaluate() {
    python -m eval_agent.eto_multi_main_probs --agent_config "$AGENT_CONFIG" --exp_config "$EXP_CONFIG" \
        --exp_name eval --output_dir "$OUT" --num_workers "$NUM_WORKERS" ${EVAL_LIMIT:+--limit "$EVAL_LIMIT"} "$@"
}
[ "$TASK" = webshop ] && default_splits=test || default_splits="dev test"
for split in ${SPLITS:-$default_splits}; do
    evaluate --split "$split" --agent_model_name experienced_agent
    evaluate --split "$split" --agent_model_name agent_model --world_model_name world_model \
        --state_base "$STATE_BASE"
done
