#!/usr/bin/env bash
# Where knowledge helps and where it misleads: counts over finished ALFWorld runs of table1.sh or fig3.sh in $OUT.
source "$(dirname "$0")/settings.sh"
PYTHONPATH=. python scripts/explain_alfworld.py "$OUT" "$EXP_CONFIG"
