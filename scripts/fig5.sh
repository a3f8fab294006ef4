#!/usr/bin/env bash
# Figure 5: one world model for all tasks.
#     bash scripts/fig5.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" fig5 "$@"
