#!/usr/bin/env bash
# serve.sh start NAME...: controller and one worker for the adapters $OUT/peft/NAME, until "serve.sh stop".
# NAME "base" is the base model without an adapter.
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
    python -m eval_agent.serve.model_worker --host 127.0.0.1 --port 21020 --controller-address \
        http://localhost:21001 --worker-address http://localhost:21020 "${models[@]}" \
        --device "$DEVICE" > "$OUT/logs/worker.out" 2>&1 &
    echo $! >> "$pids"
    wait_until_served "$@"
}

served() {
    python -c 'import requests; print(*requests.post("http://localhost:21001/list_models").json()["models"], sep="\n")' \
        2>/dev/null
}

wait_until_served() {
    echo "starting controller and worker for: $* (logs in $OUT/logs)"
    local second
    for second in $(seq 600); do
        if ! xargs kill -0 < "$pids" 2>/dev/null; then
            tail -n 5 "$OUT/logs/controller.out" "$OUT/logs/worker.out" >&2
            stop
            exit 1
        fi
        if served | grep -qx "${!#}"; then
            echo "served after $second s"
            return
        fi
        sleep 1
    done
    echo "error: no model registered within 10 minutes, see $OUT/logs/worker.out" >&2
    stop
    exit 1
}

case "${1:-}" in
    start) shift; start "$@" ;;
    stop) stop ;;
    *) echo "usage: serve.sh start NAME... | stop" >&2; exit 2 ;;
esac
