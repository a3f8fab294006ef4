"""Stand-ins for published backbones: the markup and the quirks of each one's chat template, written here.

Their tokenizers split text as the real ones do, with the same special tokens, and add BOS where those do.
"""

from transformers import PreTrainedTokenizerFast

from tests.train.family_tokenizers import _gemma, _llama3, _mistral, _train

_CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nDEFAULT<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_LLAMA = (
    "{% set has_system = messages[0].role == 'system' %}{{ bos_token }}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: ' ~ DATE ~ '\n\n' }}"
    "{{ messages[0].content | trim if has_system else '' }}<|eot_id|>"
    "{% for m in (messages[1:] if has_system else messages) %}"
    "{{ '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\n\n' ~ m.content | trim ~ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
TEMPLATES = {
    # each writes a system text of its own where none is given
    "Qwen2.5": _CHATML.replace("DEFAULT", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "SmolLM2": _CHATML.replace("DEFAULT", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    # a date in the system block that is always there, contents without blanks around them
    "Llama-3.1": "{% if not day is defined %}{% set day = '26 Jul 2024' %}{% endif %}" + _LLAMA.replace("DATE", "day"),
    # an EOS after the last turn's <|end|>
    "Phi-3.5": (
        "{% for m in messages %}{{ '<|' ~ m.role ~ '|>\n' ~ m.content ~ '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
    ),
    # no place for a system text, the assistant is called model
    "Gemma-2": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role here') }}{% endif %}{{ bos_token }}"
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns alternate') }}"
        "{% endif %}{{ '<start_of_turn>' ~ ('model' if m.role == 'assistant' else m.role) ~ '\n' ~ m.content | trim }}"
        "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    # the system text stands in the last user turn, and moves on with each turn
    "Mistral-v0.3": (
        "{% set told = messages[0].content if messages[0].role == 'system' else none %}{{ bos_token }}"
        "{% for m in (messages if told is none else messages[1:]) %}{% if m.role == 'user' %}"
        "{{ '[INST] ' ~ (told ~ '\n\n' if loop.last and told is not none else '') ~ m.content ~ '[/INST]' }}"
        "{% else %}{{ ' ' ~ m.content | trim ~ eos_token }}{% endif %}{% endfor %}"
    ),
}
DATED = _LLAMA.replace("DATE", "strftime_now('%d %b %Y')")  # as Llama-3.2's

_LLAMA_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_PHI_SPECIAL = ["<unk>", "<s>", "</s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
_CHATML_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_BARE = {"adds": "$A"}
_TOKENIZERS = {  # BOS, EOS
    "Qwen2.5": (_llama3, _CHATML_SPECIAL, None, "<|im_end|>", {"pad_token": "<|endoftext|>", **_BARE}),
    "SmolLM2": (_llama3, _CHATML_SPECIAL, "<|im_start|>", "<|im_end|>", {"pad_token": "<|im_end|>", **_BARE}),
    "Llama-3.1": (_llama3, _LLAMA_SPECIAL, "<|begin_of_text|>", "<|eot_id|>", {}),
    "Phi-3.5": (_mistral, _PHI_SPECIAL, "<s>", "<|endoftext|>", {"pad_token": "<|endoftext|>", **_BARE}),
    "Gemma-2": (
        _gemma, ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"], "<bos>", "<eos>", {"pad_token": "<pad>"}
    ),
    "Mistral-v0.3": (_mistral, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], "<s>", "</s>", {}),
}
BACKBONES = sorted(TEMPLATES)


def make_backbone(name: str, template: str | None = None, **settings) -> PreTrainedTokenizerFast:
    """The stand-in's tokenizer; ``template`` and what it ``adds`` may be others."""
    make, special, bos, eos, own = _TOKENIZERS[name]
    return _train(make, special, bos, eos, chat_template=template or TEMPLATES[name], **{**own, **settings})
