#!/usr/bin/env bash
# serve.sh start NAME...: controller and worker for the adapters $OUT/peft/NAME, until "serve.sh stop".
# NAME "base" is the base model without an adapter. SERVE_WORKERS=N starts N workers with all of them, on CUDA one a device.
# ENGINE=vllm starts vLLM instead, see serve_vllm.sh.
# serve.sh served NAME...: asks the server; exit code 0 where all of them are served already, by whomever.
source "$(dirname "$0")/settings.sh"
pids=$OUT/logs/serve.pids
address=http://localhost:21001
waiting_for="controller and worker"

stop() { # what is on file and still ours; a number may have become another process's since
    local pid ours=() servers='serve\.(controller|model_worker)|vllm\.entrypoints'
    for pid in $(cat "$pids" 2>/dev/null); do
        [[ ! $(ps -ww -o args= -p "$pid") =~ $servers ]] || ours+=("$pid")  # -ww: not cut at $COLUMNS
    done
    end "${ours[@]}"
    rm -f "$pids"
}

end() { # PID...: returns when they are gone, and their ports free
    local second
    [ $# -gt 0 ] || return 0
    kill "$@" 2>/dev/null || true
    for second in $(seq 40); do
        kill -0 "$@" 2>/dev/null || return 0
        sleep 1
    done
    kill -9 "$@" 2>/dev/null || true
}

served() {
    python -m eval_agent.serve.status "$@" --workers "$SERVE_WORKERS"
}

refuse() {
    echo "error: $*" >&2
    exit 2
}

start() {
    [ $# -gt 0 ] || refuse "serve.sh start needs the names to serve, such as agent_model"
    exec 9> "${TMPDIR:-/tmp}/serve-21001-$UID.lock"
    ! command -v flock > /dev/null || flock -n 9 || refuse "another serve.sh start is at work"
    local code=0
    served "$@" > "$OUT/logs/status.out" 2>&1 || code=$?
    [ $code != 2 ] || refuse "$(sed 's/^error: //' "$OUT/logs/status.out")"
    local told="a server runs already: $(cat "$OUT/logs/status.out")"
    [ $code = 3 ] || refuse "$told; stop it first (serve.sh stop, with its OUT)"
    local models=() name path
    for name in "$@"; do
        path=$OUT/peft/$name
        [ "$name" != base ] || path=$(base_model)
        models+=(--model-path "$path" --model-names "$name")
    done
    started=()
    trap 'end "${started[@]}"' EXIT  # until all names are served
    launch "${models[@]}"
    wait_until_served "$@"
    printf '%s\n' "${started[@]}" > "$pids.new" && mv "$pids.new" "$pids"
    trap - EXIT
}

launch() { # controller and workers with these models, into started
    python -m fastchat.serve.controller --host 127.0.0.1 --port 21001 > "$OUT/logs/controller.out" 2>&1 9>&- &
    started+=($!)
    local worker port free cache=()
    if [ "$DEVICE" = cpu ] && [ "$SERVE_WORKERS" -gt 1 ]; then # a third of the free memory for all, not for each
        free=$(python -c 'import psutil; print(psutil.virtual_memory().available >> 20)')
        cache=(--prefix-cache-mb $((free / 3 / SERVE_WORKERS)))
    fi
    for worker in $(seq 0 $((SERVE_WORKERS - 1))); do
        port=$((21020 + worker))
        [ "$DEVICE" != cuda ] || [ "$SERVE_WORKERS" = 1 ] || export CUDA_VISIBLE_DEVICES=$worker
        python -m eval_agent.serve.model_worker --host 127.0.0.1 --port $port "$@" \
            --device "$DEVICE" --answer-cache 200000 "${cache[@]}" > "$OUT/logs/worker$worker.out" 2>&1 9>&- &
        started+=($!)
    done
}

wait_until_served() {
    echo "starting $waiting_for for: $* (logs in $OUT/logs)"
    local begun=$SECONDS pid
    while [ $((SECONDS - begun)) -lt 600 ]; do
        for pid in "${started[@]}"; do
            kill -0 "$pid" 2>/dev/null || explain
        done
        if served "$@" > "$OUT/logs/status.out" 2>&1; then
            echo "served after $((SECONDS - begun)) s"
            return
        fi
        sleep 1
    done
    echo "error: not all of them are served at $address after 10 minutes, see $OUT/logs" >&2
    exit 1
}

explain() { # why a server ended: its own sentence, else the end of its log
    local log
    for log in "$OUT"/logs/worker*.out "$OUT/logs/controller.out"; do
        ! grep -h '^error: ' "$log" >&2 || exit 2
    done
    tail -n 5 "$OUT/logs/controller.out" "$OUT"/logs/worker*.out >&2
    exit 1
}

case "$ENGINE" in
    fastchat) ;;
    vllm) source scripts/serve_vllm.sh ;;
    *) refuse "ENGINE is \"$ENGINE\", expected fastchat or vllm" ;;
esac
case "${1:-}" in
    start | served) "$@" ;;
    stop) stop ;;
    *) echo "usage: serve.sh start NAME... | served NAME... | stop" >&2; exit 2 ;;
esac
