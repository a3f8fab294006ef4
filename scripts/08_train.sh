#!/usr/bin/env bash
# LoRA SFT of the agent model and of the world knowledge model, two adapters over one base.
exec bash "$(dirname "$0")/train.sh" agent_model world_model
