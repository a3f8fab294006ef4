#!/usr/bin/env bash
# What another training run changes: three sets of adapters, ours.
#     bash scripts/training_runs.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" training_runs "$@"
