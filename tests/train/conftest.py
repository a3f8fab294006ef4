"""Each test trains in the precision that it asks for, and leaves no cache behind."""

import os

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Nothing is read from or left in the user's cache of tokenised data."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def forget_precision():
    """transformers tells accelerate of --bf16 by an environment variable that the next test would inherit."""
    yield
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
