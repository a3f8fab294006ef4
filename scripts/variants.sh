#!/usr/bin/env bash
# Variants of state knowledge, ours.
#     bash scripts/variants.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" variants "$@"
