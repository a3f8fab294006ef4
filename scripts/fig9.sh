#!/usr/bin/env bash
# Figure 9: win rate of planning steps.
#     bash scripts/fig9.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" fig9 "$@"
