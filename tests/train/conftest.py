"""Tokenizers of the backbones' kinds."""

import pytest
from transformers import PreTrainedTokenizerFast

from tests.train.family_tokenizers import make_family_tokenizers


@pytest.fixture(scope="session")
def family_tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """Tokenizer by template name."""
    return make_family_tokenizers()
