#!/usr/bin/env bash
# WebShop at growing size: building a store, searching it, env processes and their steps, with products made by
# repeating and varying the published 1,000. The last line is a JSON object.
#     bash scripts/bench/webshop.sh [--sizes 1000 10000 200000] [--products FILE] [--nouns rule] [--envs 32]
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.webshop "$@"
