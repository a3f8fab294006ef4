#!/usr/bin/env bash
# Starting and stepping ALFWorld games: TextWorld's own engine, ours that sees a game for the first time, ours that has
# it on disk. The last line is a JSON object.
#     bash scripts/bench/games.sh [--exp_config alfworld] [--split dev] [--games 20]
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.games --exp_config "$EXP_CONFIG" "$@"
