#!/usr/bin/env bash
# Table 7: average reward over gamma, with a plot.
#     bash scripts/table7.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" table7 "$@"
