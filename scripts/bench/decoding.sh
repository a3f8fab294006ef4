#!/usr/bin/env bash
# Decoding: several tokens a pass where an answer copies from its prompt (prompt lookup) against one token a pass, the
# shipped base as agent and as world model over recorded ALFWorld observations. The last line is a JSON object.
#     bash scripts/bench/decoding.sh [--dialogues 16] [--turns 8]
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.decoding --device "$DEVICE" "$@"
