"""Training in a tokenizer's own chat format, token by token, for stand-ins of six published backbones."""

from dataclasses import asdict, replace

import pytest
from pydantic import TypeAdapter

from eval_agent.agents.chat_templates import OwnTemplate
from eval_agent.agents.own_template import own_template
from eval_agent.errors import InputError
from tests.train.backbones import BACKBONES, DATED, TEMPLATES, make_backbone
from tests.train.test_encoding import HUMANS, REPLIES, conversation, learnt_runs, messages
from train.data import Conversation
from train.encoding import served_otherwise, token_spans
from train.token_cache import encode_conversations

BLANKS = conversation([" OK\n", "Thought: é.\nAction: go to cabinet 3 ", "a {content} b"], ["A mug. ", "\n{content}", "Observation:\n\n"])
SYSTEM = {  # where it stands, up to the first user turn's text
    "Qwen2.5": "<|im_start|>system\nBe quick.<|im_end|>\n<|im_start|>user\nFind",
    "SmolLM2": "<|im_start|>system\nBe quick.<|im_end|>\n<|im_start|>user\nFind",
    "Llama-3.1": "Today Date: 26 Jul 2024\n\nBe quick.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nFind",
    "Phi-3.5": "<|system|>\nBe quick.<|end|>\n<|user|>\nFind",
    "Gemma-2": "<start_of_turn>user\nBe quick.\n\nFind",
    "Mistral-v0.3": "[INST] Be quick.\n\nFind",
}
END = {"Gemma-2": "<end_of_turn>", "Llama-3.1": "<|eot_id|>", "Mistral-v0.3": "</s>", "Phi-3.5": "<|end|>"}


@pytest.fixture(scope="module")
def backbones():
    made = {name: make_backbone(name) for name in BACKBONES}
    return {name: (tokenizer, own_template(tokenizer, name)) for name, tokenizer in made.items()}


def published(tokenizer, messages, **settings) -> list[int]:
    return tokenizer.apply_chat_template(messages, return_dict=True, **settings)["input_ids"]


def encode(tokenizer, template, *conversations, cutoff_len=4096) -> list[dict]:
    return encode_conversations(list(conversations), tokenizer, template, cutoff_len)[0]


@pytest.mark.parametrize("talk", [conversation(), BLANKS, conversation(REPLIES[:1], HUMANS[:1])], ids=["plain", "blanks", "one turn"])
@pytest.mark.parametrize("name", BACKBONES)
def test_training_ids_are_apply_chat_template_s_and_hold_one_bos(name, talk, backbones):
    tokenizer, template = backbones[name]
    [example] = encode(tokenizer, template, talk)
    ids = example["input_ids"].tolist()
    assert ids == published(tokenizer, messages(talk.turns))
    if name in ("Gemma-2", "Llama-3.1", "Mistral-v0.3"):
        assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1
    elif name != "SmolLM2":  # whose "BOS" begins each turn
        assert tokenizer.bos_token_id not in ids
    assert not served_otherwise(talk, tokenizer, template)


@pytest.mark.parametrize("name", BACKBONES)
def test_loss_is_on_each_reply_and_its_end_mark_alone(name, backbones):
    tokenizer, template = backbones[name]
    [example] = encode(tokenizer, template, conversation())
    end = tokenizer.convert_tokens_to_ids(END.get(name, "<|im_end|>"))
    assert template.stop_token_ids == (end,)
    runs = learnt_runs(example)
    for run, reply in zip(runs, REPLIES, strict=True):
        assert run.count(end) == 1 and run[-1] == end
        pieces = tokenizer.convert_ids_to_tokens(run[:-1])
        said = "".join(pieces).replace("▁", " ") if not tokenizer.backend_tokenizer.decoder else tokenizer.decode(run[:-1])
        assert said.strip() == reply
    assert example["labels"][example["labels"] != -100].tolist() == [token for run in runs for token in run]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_prompt_is_a_beginning_of_the_training_text(name, backbones):
    tokenizer, template = backbones[name]
    talk = conversation()
    [example] = encode(tokenizer, template, talk)
    ids, turns = example["input_ids"].tolist(), messages(talk.turns)
    for number, run in zip((1, 3, 5), learnt_runs(example)):
        prompt = tokenizer(template.render(turns[:number]))["input_ids"]
        assert prompt == published(tokenizer, turns[:number], add_generation_prompt=True)
        assert ids[: len(prompt) + len(run)] == prompt + run
        reply = turns[number]["content"]
        for begun in ("Thought: é, I need a mug.\nAction: go", "Action:", ""):
            if reply.startswith(begun):
                text = template.render([*turns[:number], {"role": "assistant", "content": begun}])
                assert text.endswith(begun)
                assert tokenizer.apply_chat_template(turns, tokenize=False).startswith(template.bos + text)
                opened = tokenizer(text)["input_ids"]
                assert opened[:-1] == ids[: len(opened) - 1] and (ids[len(opened) - 1] == opened[-1] or not begun)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_system_text_has_its_place_and_no_earlier_turn_changes(name, backbones):
    tokenizer, template = backbones[name]
    told = replace(conversation(), system="Be quick.")
    [example] = encode(tokenizer, template, told)
    ids = example["input_ids"].tolist()
    turns = messages(told.turns)
    if name in ("Gemma-2", "Mistral-v0.3"):  # no role of its own, or one that moves on
        turns[0]["content"] = "Be quick.\n\n" + turns[0]["content"]
    else:
        turns.insert(0, {"role": "system", "content": "Be quick."})
    assert ids == published(tokenizer, turns)
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    assert SYSTEM[name] in text and text.count("Be quick.") == 1 and "You are" not in text
    assert learnt_runs(example) == learnt_runs(encode(tokenizer, template, conversation())[0])


@pytest.mark.parametrize("name", BACKBONES)
def test_a_conversation_over_the_cutoff_ends_after_a_whole_reply(name, backbones):
    tokenizer, template = backbones[name]
    [full] = encode(tokenizer, template, conversation())
    [(_, replies)] = token_spans([conversation()], tokenizer, template)
    [example] = encode(tokenizer, template, conversation(), cutoff_len=len(full["input_ids"]) - 1)
    last = 2 if replies[2][1] < len(full["input_ids"]) else 1
    assert len(example["input_ids"]) == replies[last][1]
    assert learnt_runs(example) == learnt_runs(full)[: last + 1]


@pytest.mark.parametrize("name", BACKBONES)
def test_clients_read_the_same_template_from_json(name, backbones):
    template = backbones[name][1]
    kind = TypeAdapter(OwnTemplate)
    assert kind.validate_json(kind.dump_json(template)) == template == OwnTemplate(**asdict(template))


CHATML = "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ BODY ~ '<|im_end|>\n' }}{% endfor %}" \
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}ASK{% endif %}"


def chatml(body="m.content", ask="") -> str:
    return CHATML.replace("BODY", body).replace("ASK", ask)


def test_today_s_date_is_pinned_and_said(capsys):
    tokenizer = make_backbone("Llama-3.1", DATED)
    template = own_template(tokenizer, "org/dated")
    assert "Today Date: 26 Jul 2024\n" in template.opening
    assert capsys.readouterr().err.count("org/dated: its chat template writes today's date; here that is always 26 Jul 2024") == 1
    [example] = encode(tokenizer, template, conversation())
    tokenizer.chat_template = TEMPLATES["Llama-3.1"]  # that day's, and else the same text
    assert example["input_ids"].tolist() == published(tokenizer, messages(conversation().turns))


@pytest.mark.parametrize("template, told", [
    (None, "its tokenizer has no chat template"),
    (chatml("(m.content.split('</think>')[-1] if not loop.last else m.content)"), r"drops the thought \(<think>\) of turn 2 \(assistant\)"),
    (chatml("(('<think>\n\n</think>\n\n' if loop.last and m.role == 'assistant' else '') ~ m.content)"),
     r"writes turn \d \(assistant\) otherwise once other turns follow"),
    (chatml(ask="<think>\n"), r"asks for a reply with '.*<think>.n' and writes '.*assistant.n' before a given one"),
    (chatml("m.content if m.role == 'user' else 'x'"), r"leaves out or moves turn 2 \(assistant\)"),
    (chatml("('Be quick. ' if loop.index > messages | length - 2 else '') ~ m.content"),  # a text that moves on
     r"writes turn 1 \(user\) otherwise once other turns follow"),
    (chatml("(range(10000) | random ~ m.content)"), r"writes turn 1 \(user\) otherwise once other turns follow"),
    (chatml("'{content}' ~ m.content"), 'writes "{content}"'),
    (chatml("m.content ~ m.content"), r"repeats turn 1 \(user\)"),
    (chatml("(loop.index ~ ' ' ~ m.content)"), r"writes turn 3 \(user\) otherwise once other turns follow"),
    (chatml("m.content | replace('\n', '')"), r"changes white space of turn 1 \(user\) in a way that is not known"),
    ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
     "puts no mark at the end of an assistant turn"),
    ("{{ raise_exception('tools only') }}", r"fails on a dialogue of user and assistant \(tools only\)"),
    ("{{ messages.append(1) }}", "fails on a dialogue .*append"),  # the sandbox
    (chatml("strftime_now(m.role) ~ m.content"), "asks for today's date in a way that cannot be pinned"),
    ("{% for m in messages %}", "fails on a dialogue of user and assistant"),
])
def test_a_template_that_is_no_row_of_turns_is_refused_by_name(template, told):
    tokenizer = make_backbone("Qwen2.5")
    tokenizer.chat_template = template
    with pytest.raises(InputError, match=f'^org/model: .*{told}.*, so "template": "auto" cannot be used; name a format') as refused:
        own_template(tokenizer, "org/model")
    assert "\n" not in str(refused.value)



@pytest.mark.parametrize("written, adds, ids", [
    (True, True, 1), (True, False, 1), (False, True, 1), (False, False, 0),
])
def test_bos_of_template_and_tokenizer_is_one(written, adds, ids):
    template = "{{ bos_token }}" * written + CHATLIKE
    tokenizer = make_backbone("Mistral-v0.3", template, adds="{bos} $A" if adds else "$A")
    own = own_template(tokenizer, "m")
    [example] = encode(tokenizer, own, conversation())
    trained, theirs = example["input_ids"].tolist(), published(tokenizer, messages(conversation().turns))
    assert trained.count(tokenizer.bos_token_id) == ids
    # a tokenizer's BOS that the template lacks is in each prompt that a server reads
    assert trained == ([tokenizer.bos_token_id] if adds and not written else []) + theirs
    assert tokenizer(own.render(messages(conversation().turns[:1])))["input_ids"] == trained[:len(
        tokenizer(own.render(messages(conversation().turns[:1])))["input_ids"])]


CHATLIKE = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("template, adds", [("{{ '\n' ~ bos_token }}" + CHATLIKE, "{bos} $A"), (CHATLIKE, "$A </s>")])
def test_a_tokenizer_that_servers_read_otherwise_is_refused(template, adds):
    with pytest.raises(InputError, match="^m: its tokenizer reads the chat template's text, as servers tokenise it, from token"):
        own_template(make_backbone("Mistral-v0.3", template, adds=adds), "m")


def test_a_record_that_the_template_changes_is_named_with_its_turn():
    tokenizer = make_backbone("Qwen2.5", chatml("m.content | replace('secret', '')"))
    template = own_template(tokenizer, "m")
    encode(tokenizer, template, conversation())
    bad = conversation(["OK", "the secret", "OK"], where="data.json: record 3 (x)")
    with pytest.raises(InputError, match=r"data.json: record 3 \(x\): conversations\[3\].value: the model's chat template changes"):
        encode(tokenizer, template, conversation(), bad)


def test_a_template_without_a_generation_prompt_still_heads_the_reply():
    tokenizer = make_backbone("Qwen2.5", chatml().partition("{% if add")[0])
    template = own_template(tokenizer, "m")
    assert template.render([{"role": "user", "content": "A"}]) == "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\n"
    [example] = encode(tokenizer, template, Conversation(conversation().turns[:2], "r"))
    assert example["input_ids"].tolist() == published(tokenizer, messages(conversation().turns[:2]))
    assert tokenizer.decode(learnt_runs(example)[0]) == "OK<|im_end|>"
