#!/usr/bin/env bash
# serve.sh start NAME...: controller and worker for the adapters $OUT/peft/NAME, until "serve.sh stop".
# NAME "base" is the base model without an adapter. SERVE_WORKERS=N starts N workers with all of them, on CUDA one a device.
source "$(dirname "$0")/settings.sh"
pids=$OUT/logs/serve.pids

stop() {
    [ ! -e "$pids" ] || xargs -r kill < "$pids" 2>/dev/null || true
    rm -f "$pids"
}

start() {
    if [ -e "$pids" ] && xargs kill -0 < "$pids" 2>/dev/null; then
        echo "servers of $OUT are running already (bash scripts/serve.sh stop ends them)" >&2
        exit 1
    fi
    python -m fastchat.serve.controller --host 127.0.0.1 --port 21001 > "$OUT/logs/controller.out" 2>&1 &
    echo $! > "$pids"
    local models=() name path
    for name in "$@"; do
        path=$OUT/peft/$name
        [ "$name" != base ] || path=$BASE_MODEL
        models+=(--model-path "$path" --model-names "$name")
    done
    local worker port
    for worker in $(seq 0 $((SERVE_WORKERS - 1))); do
        port=$((21020 + worker))
        [ "$DEVICE" != cuda ] || [ "$SERVE_WORKERS" = 1 ] || export CUDA_VISIBLE_DEVICES=$worker
        python -m eval_agent.serve.model_worker --host 127.0.0.1 --port $port --controller-address \
            http://localhost:21001 --worker-address http://localhost:$port "${models[@]}" \
            --device "$DEVICE" --answer-cache 200000 > "$OUT/logs/worker$worker.out" 2>&1 &
        echo $! >> "$pids"
    done
    wait_until_served "$@"
}

served() { # a worker registers its models before it answers
    python - "$SERVE_WORKERS" 2>/dev/null <<'PYTHON'
import sys, requests
for worker in range(int(sys.argv[1])):
    requests.post(f"http://localhost:{21020 + worker}/worker_get_status").raise_for_status()
PYTHON
}

wait_until_served() {
    echo "starting controller and worker for: $* (logs in $OUT/logs)"
    local second
    for second in $(seq 600); do
        if ! xargs kill -0 < "$pids" 2>/dev/null; then
            tail -n 5 "$OUT/logs/controller.out" "$OUT"/logs/worker*.out >&2
            stop
            exit 1
        fi
        if served; then
            echo "served after $second s"
            return
        fi
        sleep 1
    done
    echo "error: no model registered within 10 minutes, see $OUT/logs/worker*.out" >&2
    stop
    exit 1
}

case "${1:-}" in
    start) shift; start "$@" ;;
    stop) stop ;;
    *) echo "usage: serve.sh start NAME... | stop" >&2; exit 2 ;;
esac
