#!/usr/bin/env bash
# The experienced agent: LoRA SFT on the expert trajectories, without knowledge.
exec bash "$(dirname "$0")/train.sh" experienced_agent
