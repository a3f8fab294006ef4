#!/usr/bin/env bash
# The published data, into data/downloads/ (ALFWorld's games into $ALFWORLD_DATA):
#     bash scripts/download_data.sh [trajectories | train_data | pairs | action_base | alfworld | sciworld |
#         webshop | webshop_full | adapters ...]
source "$(dirname "$0")/settings.sh"
python -m eval_agent.trajectories.download "$@"
