#!/usr/bin/env bash
# Asks LLaMA-Factory for the token ids and labels of conversations in every chat format, and writes them where
# tests/train/test_llamafactory.py compares ours with them.
source "$(dirname "$0")/../settings.sh"
source scripts/bench/llamafactory_env.sh
work=outputs/bench/llamafactory-tokens
rm -rf "$work" && mkdir -p "$work"
python -m scripts.bench.llamafactory_cases "$work"
"$peer/bin/python" scripts/bench/llamafactory_tokens.py "$work"
rm -rf tests/train/fixtures/llamafactory && mkdir -p tests/train/fixtures
cp -r "$work" tests/train/fixtures/llamafactory
pytest tests/train/test_llamafactory.py
