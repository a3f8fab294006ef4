"""Encoders of state knowledge: text -> normalised float32 vectors; caches are kept under their identity.

- ``wkm-embedding`` (the paper): mean of the WKM's input embedding rows over the text's tokens
- ``wkm-hidden`` (the released code): the worker's /worker_get_embeddings, its mean-pooled hidden states
- any other name: that sentence-transformers model
"""

import hashlib
import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import numpy as np
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from eval_agent.agents.replies import Address, Coded, Embeddings, Models
from eval_agent.connection import ConnectionFault, ask, checked_address, parse, send
from eval_agent.errors import InputError, sentence
from eval_agent.files import read_json
from eval_agent.model_folder import ADAPTER_CONFIG, base_of_adapter, is_adapter
from eval_agent.progress import tqdm

DEFAULT_CONTROLLER = "http://localhost:21001"
_EMBEDDING_KEYS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_REQUEST_SECONDS = 120
_CHUNK = 1000  # texts tokenised at a time


class Encoder(Protocol):
    """``identity`` differs between encoders whose vectors cannot be compared."""

    identity: str

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [len(texts), d], each row of length 1 (of length 0 for a text without tokens)."""


def load_encoder(name: str, model: str | None, controller_address: str = DEFAULT_CONTROLLER) -> Encoder:
    """The encoder ``name``; ``model`` is a folder or hub name (wkm-embedding) or a served name (wkm-hidden).

    Raises InputError where the model is not given, not there or not served.
    """
    if name == "wkm-embedding":
        return WkmEmbedding(_needed(model, name, "the world model's folder (base or LoRA adapter)"))
    if name == "wkm-hidden":
        return WkmHidden(
            _needed(model, name, "the name that the world model is served under"), controller_address
        )
    return SentenceEncoder(name)


def _needed(model: str | None, name: str, what: str) -> str:
    if not model:
        raise InputError(f"encoder {name} needs encoder_model: {what}")
    return model


def _normalised(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


class WkmEmbedding:
    """Mean of the embedding layer's rows over the text's tokens, special ones left out (the paper's encoder).

    Reads only the embedding matrix and the tokenizer. LoRA leaves the embedding layer as it is, so a base and
    its adapters are one encoder: the identity is a hash of the matrix and of the tokenizer.
    """

    def __init__(self, model: str):
        import torch
        from transformers import AutoTokenizer

        base = _base_of(model)
        self._weight = _embedding_matrix(base)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
        except Exception as error:  # tokenizers raises nothing narrower for a broken file
            told = str(error).strip().partition("\n")[0] or type(error).__name__
            raise InputError(f"{base}: its tokenizer cannot be read ({told})") from None
        digest = hashlib.sha256(str(self._weight.dtype).encode())
        digest.update(self._weight.contiguous().view(torch.uint8).numpy())
        digest.update(json.dumps(sorted(self._tokenizer.get_vocab().items())).encode())
        self.identity = f"wkm-embedding:{digest.hexdigest()[:16]}"

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [len(texts), d], normalised."""
        means = np.zeros((len(texts), self._weight.shape[1]), dtype=np.float32)
        for start in tqdm(
            range(0, len(texts), _CHUNK), desc="embedding states", disable=len(texts) <= _CHUNK
        ):
            ids = self._tokenizer(texts[start : start + _CHUNK], add_special_tokens=False)["input_ids"]
            for row, tokens in enumerate(ids, start):
                if tokens:
                    means[row] = self._weight[tokens].float().mean(dim=0).numpy()
        return _normalised(means)


class WkmHidden:
    """The embeddings endpoint of the worker that serves the model, found through FastChat's controller.

    One text a request: the stock worker pads a batch and lets the padding into the attention, so that a
    text's vector would depend on its company. The identity is the served name: a model retrained under the
    same name needs a new cache.
    """

    def __init__(self, model: str, controller_address: str):
        self._model = model
        self._worker = _worker_address(controller_address, model)
        self.identity = f"wkm-hidden:{model}"

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [len(texts), d], normalised; equal texts are asked for once."""
        unique = list(dict.fromkeys(texts))
        shown = tqdm(unique, desc="embedding states", unit="state", disable=len(unique) < 10)
        vectors = {text: self._embed(text) for text in shown}
        return _normalised(np.array([vectors[text] for text in texts]))

    @retry(
        stop=stop_after_attempt(5),
        wait=wait_exponential(max=20),
        retry=retry_if_exception_type(InputError),
        reraise=True,
    )
    def _embed(self, text: str) -> list[float]:
        body = {"model": self._model, "input": [text]}
        try:
            response = send(f"{self._worker}/worker_get_embeddings", body, _REQUEST_SECONDS)
            told = parse(response, Coded)
            if told.error_code:
                raise InputError(f"{self._worker}: no embedding for model {self._model}: {told.text}")
            vectors = parse(response, Embeddings).embedding
        except ConnectionFault as fault:
            raise InputError(f"{fault}; are the controller and the worker running?") from None
        if len(vectors) != 1:
            raise InputError(f"{self._worker}: {len(vectors)} embeddings for one text")
        return vectors[0]


class SentenceEncoder:
    """A sentence-transformers model, by hub name or folder."""

    def __init__(self, name: str):
        from sentence_transformers import SentenceTransformer

        try:
            self._model = SentenceTransformer(name)
        except (OSError, ValueError) as error:
            raise InputError(
                f"encoder {name}: neither wkm-embedding, wkm-hidden nor a sentence-transformers model that "
                f"can be loaded ({str(error).splitlines()[0]})"
            ) from None
        self.identity = f"sentence-transformers:{name}"

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [len(texts), d], normalised; equal texts are encoded once."""
        unique = list(dict.fromkeys(texts))
        vectors = self._model.encode(unique, show_progress_bar=len(unique) > 1000, convert_to_numpy=True)
        rows = {text: row for row, text in enumerate(unique)}
        return _normalised(vectors[[rows[text] for text in texts]])


def _worker_address(controller_address: str, model: str) -> str:
    controller = checked_address(controller_address, "--controller_address")
    try:
        address = ask(f"{controller}/get_worker_address", {"model": model}, Address, _REQUEST_SECONDS).address
        served = [] if address else ask(f"{controller}/list_models", {}, Models).models
    except ConnectionFault as fault:
        raise InputError(f"{fault}; are the controller and the worker running?") from None
    if not address:
        raise InputError(
            f'no worker serves "{model}" at {controller_address}; served: {", ".join(served) or "none"}'
        )
    return address.rstrip("/")


def _base_of(model: str) -> str:
    """The base that a LoRA adapter's adapter_config.json names; ``model`` itself where it is no adapter."""
    if is_adapter(model):
        return base_of_adapter(model)
    config = None if Path(model).is_dir() else _model_file(model, ADAPTER_CONFIG)
    return base_of_adapter(Path(config).parent) if config else model


def _model_file(model: str, name: str) -> str | None:
    """Path of one file of a model folder or of a hub model; None where the model has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    if Path(model).is_dir():
        file = Path(model) / name
        return str(file) if file.is_file() else None
    try:
        return hf_hub_download(model, name)
    except EntryNotFoundError:  # also where the hub cannot be reached and the file was not downloaded before
        return None
    except (HfHubHTTPError, HFValidationError) as error:
        raise InputError(
            f"{model}: no such model folder or hub model ({str(error).splitlines()[0]})"
        ) from None


def _embedding_matrix(base: str):
    """The input embedding, a tensor [vocabulary, d] in its stored precision; no other weights are loaded.

    Raises InputError where there are no weights, or none that can be read.
    """
    from safetensors import SafetensorError

    try:
        return _read_embedding(base)
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{base}: its weights cannot be read ({sentence(error).partition(chr(10))[0]})") from None


def _read_embedding(base: str):
    for name in _WEIGHT_FILES:
        index = _model_file(base, f"{name}.index.json")
        if index:
            files = read_json(index)["weight_map"]
            key = _embedding_key(files, base)
            return _tensor(_model_file(base, files[key]), key)
        file = _model_file(base, name)
        if file:
            return _tensor(file, _embedding_key(_keys(file), base))
    raise InputError(
        f"{base}: no weights there ({' or '.join(_WEIGHT_FILES)}), neither as a folder nor on the hub"
    )


def _embedding_key(keys, base: str) -> str:
    for key in keys:
        if key.endswith(_EMBEDDING_KEYS):
            return key
    raise InputError(
        f"{base}: no input embedding among its weights (looked for {', '.join(_EMBEDDING_KEYS)})"
    )


def _keys(file: str) -> list[str]:
    if file.endswith(".safetensors"):
        from safetensors import safe_open

        with safe_open(file, "pt") as weights:
            return list(weights.keys())
    return list(_torch_weights(file))


def _tensor(file: str, key: str):
    if file.endswith(".safetensors"):
        from safetensors import safe_open

        with safe_open(file, "pt") as weights:
            return weights.get_tensor(key)
    return _torch_weights(file)[key]


def _torch_weights(file: str) -> dict:
    import torch

    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
