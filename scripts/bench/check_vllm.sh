#!/usr/bin/env bash
# vLLM beside our worker, on a CPU: the tiny base with three shipped adapters in each, one after the other. Six official
# ALFWorld games by WKM planning, greedily, then 40 decisions of our worker's games asked again: four texts and the
# scores of all verbs each, and prompts at the context's end. The last line is a JSON object; exit code 1 where anything
# differs. Not part of the tests: it installs vLLM into an environment of its own ($VLLM_ENV, 2.5 GB).
#     bash scripts/bench/check_vllm.sh
#     RECORD=tests/eval_agent/agents/fixtures/vllm_answers.json bash scripts/bench/check_vllm.sh     # and what the tests replay
export DEVICE=cpu OUT=outputs/bench/check-vllm RECIPE=configs/train/tiny_official.json
source "$(dirname "$0")/../settings.sh"
source scripts/vllm_env.sh
names=(agent_model world_model experienced_agent)
ln -sfn "$(realpath data/results/tiny/peft)" "$OUT/peft"
python -m scripts.bench.check_vllm prepare "$OUT"

serve() { # ENGINE
    export ENGINE=$1
    trap 'bash scripts/serve.sh stop' EXIT
    bash scripts/serve.sh start "${names[@]}"
}

play() { # ENGINE AGENT_CONFIG
    rm -rf "$OUT/$1"
    python -m eval_agent.eto_multi_main_probs --method wkm --exp_config "$OUT/alfworld_greedy.json" --exp_name wkm \
        --split dev --limit 6 --state_base "$OUT/state_base" --output_dir "$OUT/$1" --agent_config "$2" --num_workers 3
}

serve fastchat
play fastchat fastchat
python -m scripts.bench.check_vllm record "$OUT"
bash scripts/serve.sh stop
serve vllm
play vllm openai
[ -z "${RECORD:-}" ] || python -m scripts.bench.check_vllm answers "$RECORD"
python -m scripts.bench.check_vllm compare "$OUT"
