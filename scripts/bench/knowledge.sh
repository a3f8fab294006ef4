#!/usr/bin/env bash
# How knowledge synthesis scales with requests in flight: N = 32 against N = 1, at a local endpoint that takes
# a fixed time for each answer. The last line is a JSON object.
#     bash scripts/bench/knowledge.sh [--latency 0.5] [--concurrency 32]
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.knowledge "$@"
