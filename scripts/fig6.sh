#!/usr/bin/env bash
# Figure 6: explicit state knowledge.
#     bash scripts/fig6.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" fig6 "$@"
