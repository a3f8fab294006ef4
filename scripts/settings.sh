# Settings of a run, sourced by every step. Each can be given in the environment instead:
#   BASE_MODEL=/models/Mistral-7B-Instruct-v0.2 RECIPE=configs/train/mistral.json EXP_CONFIG=alfworld \
#       OUT=outputs/mistral-7b bash scripts/02_train_experienced_agent.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"

TASK=${TASK:-alfworld}                                       # whose prompts and rules; or sciworld
case "$TASK" in
    sciworld) demo_base=data/tiny-mistral-sciworld demo_out=outputs/quickstart-sciworld ;;
    *) demo_base=data/tiny-mistral demo_out=outputs/quickstart ;;
esac
EXP_CONFIG=${EXP_CONFIG:-${TASK}_demo}                       # configs/task/*.json: games, planner, state base
AGENT_CONFIG=${AGENT_CONFIG:-fastchat}                       # configs/model/*.json: where models are served
BASE_MODEL=${BASE_MODEL:-$demo_base}                         # folder or hub name of the backbone
RECIPE=${RECIPE:-configs/train/tiny_lora_sft.json}           # LoRA and optimiser values
ACCELERATE=${ACCELERATE:-configs/accelerate/single_config.yaml}
KNOWLEDGE_MODEL=${KNOWLEDGE_MODEL:-rules}                    # or a model of an OpenAI-compatible endpoint
TRAJECTORIES=${TRAJECTORIES:-}                               # published expert trajectories, if any
TRAIN_LIMIT=${TRAIN_LIMIT:-}                                 # so many train games only
DEVICE=${DEVICE:-$(command -v nvidia-smi > /dev/null && echo cuda || echo cpu)}
NUM_WORKERS=${NUM_WORKERS:-4}                                # episodes side by side
SERVE_WORKERS=${SERVE_WORKERS:-1}                            # worker processes, each with all models
OUT=${OUT:-$demo_out}
STATE_BASE=${STATE_BASE:-$OUT/state_base}
limit=${TRAIN_LIMIT:+--limit $TRAIN_LIMIT}

mkdir -p "$OUT/logs"
export LOGDIR=$(realpath "$OUT/logs")  # FastChat's own log files
export TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
