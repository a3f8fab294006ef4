#!/usr/bin/env bash
# serve.sh start NAME...: controller and worker for the adapters $OUT/peft/NAME, until "serve.sh stop".
# NAME "base" is the base model without an adapter. SERVE_WORKERS=N starts N workers with all of them, on CUDA one a device.
# serve.sh served NAME...: asks the controller; exit code 0 where all of them are served already, by whomever.
source "$(dirname "$0")/settings.sh"
pids=$OUT/logs/serve.pids

stop() {
    [ ! -e "$pids" ] || xargs -r kill < "$pids" 2>/dev/null || true
    rm -f "$pids"
}

served() {
    python -m eval_agent.serve.status "$@" --workers "$SERVE_WORKERS"
}

start() {
    local code=0
    served "$@" > "$OUT/logs/status.out" || code=$?
    if [ $code != 3 ]; then
        echo "error: a controller runs already: $(cat "$OUT/logs/status.out"); stop it first (serve.sh stop, with its OUT)" >&2
        exit 1
    fi
    python -m fastchat.serve.controller --host 127.0.0.1 --port 21001 > "$OUT/logs/controller.out" 2>&1 &
    echo $! > "$pids"
    local models=() name path
    for name in "$@"; do
        path=$OUT/peft/$name
        [ "$name" != base ] || path=$(base_model)
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

wait_until_served() {
    echo "starting controller and worker for: $* (logs in $OUT/logs)"
    local started=$SECONDS
    while [ $((SECONDS - started)) -lt 600 ]; do
        if ! xargs kill -0 < "$pids" 2>/dev/null; then
            tail -n 5 "$OUT/logs/controller.out" "$OUT"/logs/worker*.out >&2
            stop
            exit 1
        fi
        if served "$@" > "$OUT/logs/status.out"; then
            echo "served after $((SECONDS - started)) s"
            return
        fi
        sleep 1
    done
    echo "error: no model registered within 10 minutes, see $OUT/logs/worker*.out" >&2
    stop
    exit 1
}

case "${1:-}" in
    start | served) "$@" ;;
    stop) stop ;;
    *) echo "usage: serve.sh start NAME... | served NAME... | stop" >&2; exit 2 ;;
esac
