#!/usr/bin/env bash
# Start-up and query time of the state base (FAISS cache, loaded) against Chroma rebuilt from documents at every
# start, as the released code does. Chroma comes into an environment of its own. The last line is a JSON object.
#     bash scripts/bench/state_base.sh [--rows 60000] [--dimension 256]
source "$(dirname "$0")/../settings.sh"
chroma=outputs/bench/chroma-venv
[ -e "$chroma/bin/python" ] || { python -m venv "$chroma" && "$chroma/bin/pip" install -q chromadb==1.5.9; }
python -m scripts.bench.state_base --chroma_python "$chroma/bin/python" "$@"
