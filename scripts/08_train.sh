#!/usr/bin/env bash
# LoRA SFT of the agent model and of the world knowledge model, two adapters over one base.
# Look at: $OUT/peft/agent_model/training_loss.png, $OUT/peft/world_model/training_loss.png
source "$(dirname "$0")/help.sh"
exec bash "$(dirname "$0")/train.sh" agent_model world_model
