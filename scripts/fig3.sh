#!/usr/bin/env bash
# Figure 3: ablations.
#     bash scripts/fig3.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" fig3 "$@"
