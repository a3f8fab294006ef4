"""What many tests need: a small random base model with two LoRA adapters, and the reference data's place."""

import os
import socket
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that spins while it waits takes the core of the file beside

import pytest
from endpoint import Endpoint
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
SERVE_PORTS = (21001, 21020)  # scripts/serve.sh's and the README's: one test at a time
TEXT = [
    "Thought: I need to find a mug.\nAction: go to cabinet 3",
    "Observation: On the countertop 1, you see a mug 1, and a spoon 2.",
    "State Knowledge: The task is to put a clean mug in cabinet. I hold nothing.",
]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory) -> Path:
    """Folder of a Mistral-architecture model with random weights: 2 layers, hidden 64, context 1024."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from train.tiny_base.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("models") / "random-mistral"
    tokenizer = train_tokenizer(TEXT, vocab_size=400, context_length=1024)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024, sliding_window=None,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapters(base_model, tmp_path_factory) -> dict[str, Path]:
    """Two LoRA adapters over ``base_model`` whose outputs differ from the base and from each other."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders = {}
    for seed, name in enumerate(("agent_model", "world_model"), start=1):
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(base_model)
        config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        model = get_peft_model(base, config)
        for key, weight in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(weight, std=0.3)
        folders[name] = tmp_path_factory.mktemp("peft") / name
        model.save_pretrained(folders[name])
    return folders


@pytest.fixture(scope="session")
def family_tokenizers() -> dict:
    """Tokenizers of the backbones' kinds, by template name."""
    from tests.train.family_tokenizers import make_family_tokenizers

    return make_family_tokenizers()


@pytest.fixture
def serve():
    """Starts endpoints: ``serve(answer) -> Endpoint``."""
    started = []

    def start(answer) -> Endpoint:
        started.append(Endpoint(answer))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.shutdown()
        endpoint.server_close()


def free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def serve_ports():
    """Keeps the ports of ``scripts/serve.sh`` for one test; skips where something outside the tests holds them."""
    with FileLock(Path(tempfile.gettempdir()) / f"wkm-tests-{os.getuid()}.lock"):
        if not all(map(free, SERVE_PORTS)):
            pytest.skip(f"ports {SERVE_PORTS} are in use on this machine")
        yield SERVE_PORTS


@pytest.fixture(scope="session")
def alfworld_data() -> Path:
    """Folder with ALFWorld's official games (json_2.1.1/...); skips where there are none."""
    data = Path(os.environ.get("ALFWORLD_DATA", "~/.cache/alfworld")).expanduser()
    if not (data / "json_2.1.1" / "valid_seen").is_dir():
        if not SHARED.is_dir():
            pytest.skip(f"no official ALFWorld games at {data} and no reference data at {SHARED}")
        import subprocess
        import sys

        data = Path(tempfile.gettempdir()) / "wkm-reference-data"
        subprocess.run([sys.executable, str(SHARED / "unpack.py"), str(data)], check=True, capture_output=True)
    return data


@pytest.fixture(scope="session")
def sciworld_indices() -> Path:
    """Folder with ScienceWorld's published index files; skips where there are none."""
    folder = Path(os.environ.get("SCIWORLD_INDICES", SHARED / "sciworld"))
    if not (folder / "train_indices.json").is_file():
        pytest.skip(f"no ScienceWorld index files at {folder} (bash scripts/download_data.sh sciworld)")
    return folder


@pytest.fixture(scope="session")
def webshop_data() -> Path:
    """Folder with WebShop's published 1,000 products and recordings, plain or packed; skips where there is none."""
    folder = Path(os.environ.get("WEBSHOP_DATA", SHARED / "webshop"))
    if not any(folder.glob("items_shuffle_1000.json*")):
        pytest.skip(f"no WebShop products at {folder} (bash scripts/download_data.sh webshop)")
    return folder
