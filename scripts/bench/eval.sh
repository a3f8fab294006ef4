#!/usr/bin/env bash
# Evaluation speed: our worker and loop against unmodified FastChat workers with the released code's four calls
# a step, the same weights and the same recorded ALFWorld observations. The last line is a JSON object.
#     bash scripts/bench/eval.sh [--size 20m|7b] [--device cpu|cuda] [--episodes 16] [--steps 12]
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.eval --device "$DEVICE" "$@"
