#!/usr/bin/env bash
# Ablations without a published number: N, encoder, pre-action rule.
#     bash scripts/ablations.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" ablations "$@"
