#!/usr/bin/env bash
# The results as a table (Markdown, CSV) and a plot; PUBLISHED=Mistral-7B puts the paper's numbers of that backbone below.
source "$(dirname "$0")/settings.sh"
note=""
[ "$TASK" != webshop ] || note=$(python -m eval_agent.report.blind --exp_config "$EXP_CONFIG" --split test)
python -m eval_agent.report.compare --task "$TASK" --output_dir "$OUT" \
    --run "SFT (no knowledge)=$OUT/experienced_agent/${EXP_CONFIG}_eval" \
    --run "WKM=$OUT/agent_model/${EXP_CONFIG}_eval" ${note:+--note "$note"} \
    ${PUBLISHED:+--published "$PUBLISHED"}
