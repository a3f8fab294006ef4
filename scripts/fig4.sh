#!/usr/bin/env bash
# Figure 4: instance-level against dataset-level knowledge.
#     bash scripts/fig4.sh [MODEL] [--dry_run | --no_run]
exec bash "$(dirname "$0")/paper.sh" fig4 "$@"
