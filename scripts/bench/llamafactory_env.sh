# Sourced by the scripts that run LLaMA-Factory beside this project: $peer is its own environment, made on first use.
# Some gigabytes; PEER=/path names one that is there.
peer=${PEER:-outputs/bench/llamafactory-venv}
if [ ! -x "$peer/bin/llamafactory-cli" ]; then
    python -m venv "$peer"
    "$peer/bin/pip" install -q torch==2.13.0 transformers==4.57.6 peft==0.18.1 llamafactory==0.9.5
    # they have no CPU build that goes with this torch; an empty torchaudio is enough
    "$peer/bin/pip" uninstall -q -y torchvision torchaudio
    mkdir -p "$("$peer/bin/python" -c 'import site; print(site.getsitepackages()[0])')/torchaudio"
    touch "$("$peer/bin/python" -c 'import site; print(site.getsitepackages()[0])')/torchaudio/__init__.py"
fi
