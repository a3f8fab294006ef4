#!/usr/bin/env bash
# Knowledge by a language model of our own serving, made as in the paper: the recipe's base behind FastChat's OpenAI
# server is asked for the task and state knowledge of PAIRS (100) pairs spread over $OUT/pairs.json, without a second
# try. Answers come into $OUT/by_model; the summary of each kind says how many were in the form asked for.
#     MODEL=smollm2-135m bash scripts/knowledge_by_model.sh
source "$(dirname "$0")/settings.sh"
by_model=$OUT/by_model
port=$(python -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
mkdir -p "$by_model"
python -c 'import json, sys
pairs, most = json.load(open(sys.argv[1])), int(sys.argv[2])
chosen = range(min(most, len(pairs)))
json.dump([pairs[len(pairs) * number // len(chosen)] for number in chosen], open(sys.argv[3], "w"))' \
    "$OUT/pairs.json" "${PAIRS:-100}" "$by_model/pairs.json"
trap 'kill "${api:-}" 2> /dev/null || true; bash scripts/serve.sh stop' EXIT
bash scripts/serve.sh start base
python -m fastchat.serve.openai_api_server --host 127.0.0.1 --port $port > "$OUT/logs/openai_api_server.out" 2>&1 &
api=$!
until (: < /dev/tcp/127.0.0.1/$port) 2> /dev/null; do
    kill -0 $api 2> /dev/null || { echo "error: the OpenAI server ended, see $OUT/logs/openai_api_server.out" >&2; exit 1; }
    sleep 1
done
ask() { # GEN; exit code 1 is of answers that were not in the form
    python world_knowledge_build.py --dataset_path "$by_model/pairs.json" --task "$TASK" --gen "$1" --model_name base \
        --api_base "http://127.0.0.1:$port/v1" --timeout 3600 --max_attempts 1 --concurrency "$NUM_WORKERS" \
        --give_up_after 1000000 --output_path "$by_model/$1.json" || [ $? = 1 ]
}
ask task_knowledge
ask state_knowledge
