#!/usr/bin/env bash
# vLLM beside our worker: the same texts, p_agent and games? See bench/check_vllm.sh.
exec bash "$(dirname "$0")/bench/check_vllm.sh" "$@"
