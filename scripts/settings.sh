# Settings of a run, sourced by every step. Each can be given in the environment instead:
#   RECIPE=configs/train/mistral.json EXP_CONFIG=alfworld OUT=outputs/mistral-7b/alfworld \
#       bash scripts/02_train_experienced_agent.sh
set -euo pipefail
case $0 in */bench/*) ;; *) source "$(dirname "${BASH_SOURCE[0]}")/help.sh" ;; esac  # in bench/ it is Python's
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"

TASK=${TASK:-alfworld}                                       # whose prompts and rules; or sciworld, webshop
TASKS=${TASKS:-alfworld sciworld webshop}                    # whose data a unified world model reads
case "$TASK" in
    sciworld) demo_recipe=configs/train/tiny_lora_sft_sciworld.json demo_out=outputs/quickstart-sciworld ;;
    webshop) demo_recipe=configs/train/tiny_lora_sft_webshop.json demo_out=outputs/quickstart-webshop ;;
    *) demo_recipe=configs/train/tiny_lora_sft.json demo_out=outputs/quickstart ;;
esac
demo_config=${TASK}_demo
if [ -n "${MODEL:-}" ]; then                                 # quickstart.sh --model: a pretrained one, at small scale
    demo_recipe=configs/train/$MODEL.json demo_out=outputs/quickstart-$MODEL/$TASK NUM_WORKERS=${NUM_WORKERS:-12}
    if [ "$TASK" = alfworld ]; then                          # official games
        demo_config=alfworld_smollm2_small TRAIN_LIMIT=${TRAIN_LIMIT:-60} EVAL_LIMIT=${EVAL_LIMIT:-16}
    fi
fi
EXP_CONFIG=${EXP_CONFIG:-$demo_config}                       # configs/task/*.json: games, planner, state base
[ "${AGENT_CONFIG:-}" != openai ] || ENGINE=${ENGINE:-vllm}
ENGINE=${ENGINE:-fastchat}                                   # who serves: FastChat's controller with our worker, or vllm
[ "$ENGINE" != vllm ] || AGENT_CONFIG=${AGENT_CONFIG:-openai}
AGENT_CONFIG=${AGENT_CONFIG:-fastchat}                       # configs/model/*.json: how the models are served
export RECIPE=${RECIPE:-$demo_recipe}                        # configs/train/*.json: base model, chat format, LoRA, optimiser
BASE_MODEL=${BASE_MODEL:-}                                   # another copy of the recipe's base model, such as a local folder
ACCELERATE=${ACCELERATE:-configs/accelerate/single_config.yaml}
KNOWLEDGE_MODEL=${KNOWLEDGE_MODEL:-rules}                    # or a model of an OpenAI-compatible endpoint
TRAJECTORIES=${TRAJECTORIES:-}                               # published expert trajectories, if any
TRAIN_LIMIT=${TRAIN_LIMIT:-}                                 # so many train games only
EVAL_LIMIT=${EVAL_LIMIT:-}                                   # so many games of each split in the evaluation
DEVICE=${DEVICE:-$(command -v nvidia-smi > /dev/null && echo cuda || echo cpu)}
NUM_WORKERS=${NUM_WORKERS:-4}                                # episodes side by side
SERVE_WORKERS=${SERVE_WORKERS:-1}                            # worker processes, each with all models
VLLM_ENV=${VLLM_ENV:-outputs/vllm-env}                       # ENGINE=vllm: its own Python environment, made when missing
VLLM_FLAGS=${VLLM_FLAGS:-}                                   # and what it is told beside, such as --tensor-parallel-size 2
OUT=${OUT:-$demo_out}
SHIPPED=${SHIPPED:-}                                         # folder of trained adapters, taken where $OUT/peft lacks one
STATE_BASE=${STATE_BASE:-$OUT/state_base}
limit=${TRAIN_LIMIT:+--limit $TRAIN_LIMIT}

if ! fault=$(mkdir -p "$OUT/logs" 2>&1); then
    echo "error: OUT=$OUT: $fault" >&2
    exit 2
fi
export LOGDIR=$(realpath "$OUT/logs")  # FastChat's own log files
export TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}  # a thread that spins while it waits takes another process's core
NO_PROXY=${NO_PROXY:-${no_proxy:-}}  # FastChat's own controller too asks this machine's workers past any proxy
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,::1,0.0.0.0" && export no_proxy=$NO_PROXY

base_model() { # where the base model is
    [ -z "$BASE_MODEL" ] || { echo "$BASE_MODEL"; return; }
    python -c 'import sys; from eval_agent.config import read_config; print(read_config(sys.argv[1])["model_name_or_path"])' "$RECIPE"
}
