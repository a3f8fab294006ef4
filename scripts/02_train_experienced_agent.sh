#!/usr/bin/env bash
# The experienced agent: LoRA SFT on the expert trajectories, without knowledge.
# Look at: $OUT/peft/experienced_agent/training_loss.png
source "$(dirname "$0")/help.sh"
exec bash "$(dirname "$0")/train.sh" experienced_agent
