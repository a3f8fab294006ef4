#!/usr/bin/env bash
# Chooses among variants of the method on 300 train games that no adapter was trained on: holds them out, trains an
# experienced agent on the others, explores these with it, takes agent model and world model as shipped (trains them where
# they are not), and plays each row on the 300.
#     bash scripts/hold_out.sh [EXPERIMENT] [--dry_run]
# EXPERIMENT is a file of configs/paper (variants); its column "ALFWorld seen" is then the 300 games. What is chosen is
# confirmed once on seen and unseen games: bash scripts/paper.sh EXPERIMENT tiny --task alfworld
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
[ -d outputs/held_out_games/dev ] || python -m scripts.hold_out
exec bash scripts/paper.sh "${1:-variants}" tiny_held_out "${@:2}"
