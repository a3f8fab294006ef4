#!/usr/bin/env bash
# WebShop here against recordings of the published environment: replays every *episodes*.jsonl, *reward_cases*.jsonl and
# *lucene_rankings*.jsonl (or .jsonl.xz) in FOLDER. Products from --products (file or folder), $WEBSHOP_DATA, or
# ../shared/data/webshop. The last line is a JSON object; exit code 1 where something differs.
#     bash scripts/check_webshop.sh FOLDER [--products FILE]
source "$(dirname "$0")/settings.sh"
python -m eval_agent.webshop.check "$@"
