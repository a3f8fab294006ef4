#!/usr/bin/env bash
# Table 1: average reward of all methods.
#     bash scripts/table1.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" table1 "$@"
