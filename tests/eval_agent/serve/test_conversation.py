"""FastChat's OpenAI server prompts a base in its own chat format, for stand-ins of six published backbones."""

import pytest
from fastchat.conversation import Conversation

from eval_agent.agents.own_template import own_template
from eval_agent.serve.conversation import conversation_of
from tests.train.backbones import BACKBONES, make_backbone


def written(conversation: Conversation, messages: list[dict]) -> str:
    """The prompt that fastchat.serve.openai_api_server makes of chat messages."""
    conversation = Conversation(**{**vars(conversation), "messages": []})
    for message in messages:
        if message["role"] == "system":
            conversation.set_system_message(message["content"])
        else:
            conversation.append_message(conversation.roles[message["role"] == "assistant"], message["content"])
    conversation.append_message(conversation.roles[1], None)
    return conversation.get_prompt()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_chat_prompt_is_the_model_s_own(name):
    template = own_template(make_backbone(name), name)
    conversation = conversation_of(template)
    asked = [{"role": "user", "content": "Find\na {mug}."}]
    assert written(conversation, asked) == template.render(asked)
    asked_again = [*asked, {"role": "assistant", "content": "OK"}, {"role": "user", "content": "Now."}]
    blanks = " " if name == "Mistral-v0.3" else ""  # it writes one before each reply
    assert written(conversation, asked_again) == template.render(asked_again).replace(f"{blanks}OK", "OK")
    assert conversation.stop_token_ids == list(template.stop_token_ids) and conversation.stop_str == template.stop


@pytest.mark.parametrize("name", ["Llama-3.1", "Qwen2.5", "SmolLM2"])
def test_a_system_text_replaces_the_default_one(name):
    tokenizer = make_backbone(name)
    messages = [{"role": "system", "content": "Be {quick}."}, {"role": "user", "content": "Find a mug."}]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    template = own_template(tokenizer, name)
    assert template.bos + written(conversation_of(template), messages) == expected
