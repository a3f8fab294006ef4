#!/usr/bin/env bash
# Kills (kill -9) at random moments: of synthesis, training, exploration and evaluation, and of worker and controller
# during an evaluation. Prints what was finished before and after, lost, redone, and whether the last result is that of
# an undisturbed run. The last line is a JSON object. It needs a finished quickstart, which it runs first.
#     bash scripts/bench/faults.sh [--kills 20] [--seed 1] [--only training]
bash "$(dirname "$0")/../quickstart.sh" > /dev/null
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.faults --quickstart "$OUT" "$@"
