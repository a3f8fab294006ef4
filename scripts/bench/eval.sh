#!/usr/bin/env bash
# Evaluation speed: our worker and loop against unmodified FastChat workers with the released code's four calls
# a step, the same weights and the same recorded ALFWorld observations; or, with --engine vllm, our loop over vLLM (in an
# environment of its own, $VLLM_ENV). The last line is a JSON object.
#     bash scripts/bench/eval.sh [--size 20m|7b] [--device cpu|cuda] [--episodes 16] [--steps 12] [--engine vllm]
source "$(dirname "$0")/../settings.sh"
[[ " $* " != *" --engine vllm "* ]] || source scripts/vllm_env.sh
python -m scripts.bench.eval --device "$DEVICE" --vllm_python "$VLLM_ENV/bin/python" "$@"
