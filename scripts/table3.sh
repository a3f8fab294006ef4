#!/usr/bin/env bash
# Table 3: share of trajectories with an invalid action.
#     bash scripts/table3.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" table3 "$@"
