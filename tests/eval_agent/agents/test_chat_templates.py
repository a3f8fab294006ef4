"""The chat formats against what each family publishes, written out here as text and as its Jinja template."""

import pytest
from fastchat.conversation import get_conv_template

from eval_agent.agents.chat_templates import get_template
from eval_agent.errors import InputError

MESSAGES = [
    {"role": "user", "content": "Find a mug."},
    {"role": "assistant", "content": "OK"},
    {"role": "user", "content": "Observation: a mug 1\n\nGo on."},
    {"role": "assistant", "content": "Thought: I see it.\nAction: take mug 1"},
]

PUBLISHED_TEXT = {
    "mistral_v02": (
        "[INST] Find a mug. [/INST] OK</s>[INST] Observation: a mug 1\n\nGo on. [/INST]"
        " Thought: I see it.\nAction: take mug 1</s>"
    ),
    "gemma": (
        "<start_of_turn>user\nFind a mug.<end_of_turn>\n<start_of_turn>model\nOK<end_of_turn>\n"
        "<start_of_turn>user\nObservation: a mug 1\n\nGo on.<end_of_turn>\n<start_of_turn>model\n"
        "Thought: I see it.\nAction: take mug 1<end_of_turn>\n"
    ),
    "chatml": (
        "<|im_start|>user\nFind a mug.<|im_end|>\n<|im_start|>assistant\nOK<|im_end|>\n"
        "<|im_start|>user\nObservation: a mug 1\n\nGo on.<|im_end|>\n"
        "<|im_start|>assistant\nThought: I see it.\nAction: take mug 1<|im_end|>\n"
    ),
    "llama3": (
        "<|start_header_id|>user<|end_header_id|>\n\nFind a mug.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nOK<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nObservation: a mug 1\n\nGo on.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nThought: I see it.\nAction: take mug 1<|eot_id|>"
    ),
}
# the same formats as the tokenizers' chat templates say them (turn by turn, BOS first)
PUBLISHED_JINJA = {
    "mistral_v02": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    "gemma": (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'user' if m.role == 'user' else 'model' }}\n"
        "{{ m.content | trim }}<end_of_turn>{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model{{ '\n' }}{% endif %}"
    ),
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ '\n\n' }}"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{{ '\n\n' }}{% endif %}"
    ),
}
FAMILIES = sorted(PUBLISHED_TEXT)  # LLaMA-Factory's mistral: test_llamafactory.py


def whole(template, messages) -> str:
    """A closed conversation: ``render`` leaves the last reply open."""
    return template.render(messages) + template.stop_text


@pytest.mark.parametrize("name", FAMILIES)
def test_text_is_the_published_format(name):
    assert whole(get_template(name), MESSAGES) == PUBLISHED_TEXT[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_are_those_of_the_published_jinja_template(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    for messages, text in (
        (MESSAGES, whole(template, MESSAGES)),
        (MESSAGES[:3], template.render(MESSAGES[:3])),
    ):
        published = tokenizer.apply_chat_template(
            messages,
            chat_template=PUBLISHED_JINJA[name],
            add_generation_prompt=messages[-1]["role"] == "user",
            return_dict=True,
        )["input_ids"]
        assert tokenizer(text)["input_ids"] == published
        assert published[:2].count(tokenizer.bos_token_id) == (tokenizer.bos_token_id is not None)


@pytest.mark.parametrize("messages", [MESSAGES[:1], MESSAGES[:3], MESSAGES])
def test_mistral_v02_is_fastchats_mistral(messages):
    conversation = get_conv_template("mistral")
    for message in messages:
        conversation.append_message(conversation.roles[message["role"] == "assistant"], message["content"])
    template = get_template("mistral_v02")
    if messages[-1]["role"] == "user":
        conversation.append_message(conversation.roles[1], None)
        assert template.render(messages) == conversation.get_prompt()
    else:
        assert whole(template, messages) == conversation.get_prompt()


def test_mistral_v02_is_the_embedded_tokenizers_own_chat_template(base_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    own = tokenizer.apply_chat_template(MESSAGES, return_dict=True)["input_ids"]
    assert own == tokenizer(whole(get_template("mistral_v02"), MESSAGES))["input_ids"]


def test_unknown_template_names_the_known_ones():
    with pytest.raises(InputError, match='"vicuna".*mistral_v02, mistral, gemma, llama3'):
        get_template("vicuna")
