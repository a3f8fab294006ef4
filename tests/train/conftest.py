"""Tokenizers of the backbones' kinds; each test trains in the precision that it asks for."""

import os

import pytest
from transformers import PreTrainedTokenizerFast

from tests.train.family_tokenizers import make_family_tokenizers


@pytest.fixture(scope="session")
def family_tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """Tokenizer by template name."""
    return make_family_tokenizers()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Nothing is read from or left in the user's cache of tokenised data."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def forget_precision():
    """transformers tells accelerate of --bf16 by an environment variable that the next test would inherit."""
    yield
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
