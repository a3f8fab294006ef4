#!/usr/bin/env bash
# Table 2: average steps of a trajectory.
#     bash scripts/table2.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" table2 "$@"
