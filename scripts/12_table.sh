#!/usr/bin/env bash
# The results as a table (Markdown, CSV) and a plot, and the games to look at: viewer.html.
# PUBLISHED=Mistral-7B puts the paper's numbers of that backbone below.
# Look at: $OUT/table.md, $OUT/table.png, $OUT/viewer.html
source "$(dirname "$0")/settings.sh"
note=""
[ "$TASK" != webshop ] || note=$(python -m eval_agent.report.blind --exp_config "$EXP_CONFIG" --split test)
sft=$OUT/experienced_agent/${EXP_CONFIG}_eval wkm=$OUT/agent_model/${EXP_CONFIG}_eval
python -m eval_agent.report.compare --task "$TASK" --output_dir "$OUT" --run "SFT (no knowledge)=$sft" --run "WKM=$wkm" \
    ${note:+--note "$note"} ${PUBLISHED:+--published "$PUBLISHED"}
python -m eval_agent.report.viewer "SFT (no knowledge)=$sft" "WKM=$wkm" --output_path "$OUT/viewer.html"
