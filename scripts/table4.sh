#!/usr/bin/env bash
# Table 4: weak-guide-strong, the world model's task knowledge for a stronger agent.
#     bash scripts/table4.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" table4 "$@"
