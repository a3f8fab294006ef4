#!/usr/bin/env bash
# Start FastChat's controller and one worker with all three adapters in the background ("stop" ends them).
# Look at: $OUT/logs/worker0.out
source "$(dirname "$0")/settings.sh"
if [ "${1:-start}" = stop ]; then
    exec bash scripts/serve.sh stop
fi
bash scripts/serve.sh start experienced_agent agent_model world_model
