#!/usr/bin/env bash
# Tokens per second of LoRA SFT here and in LLaMA-Factory 0.9.5 (in its own environment): the same random model, data
# and effective batch. The last line is a JSON object.
#     bash scripts/bench/train.sh [--size 20m] [--conversations 40]
#     bash scripts/bench/train.sh --size 7b --conversations 256 --bf16 --peak_tflops 989      # on an H100
source "$(dirname "$0")/../settings.sh"
source scripts/bench/llamafactory_env.sh
python -m scripts.bench.train --peer "$peer" "$@"
