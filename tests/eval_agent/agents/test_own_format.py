"""A backbone that no named format is known for, over real servers: prompts in its tokenizer's own chat template."""

import shutil
import threading
from http.server import ThreadingHTTPServer

import pytest
import torch
from endpoint import JsonHandler
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from eval_agent.agents import load_agent
from eval_agent.agents.chat_format import ChatFormat, agree, format_of_recipe, format_of_run, template_of_recipe
from eval_agent.agents.openai import OpenAIAgent
from eval_agent.agents.own_template import own_template, template_of_base
from eval_agent.agents.replies import Generated
from eval_agent.config import ModelConfig
from eval_agent.errors import InputError
from eval_agent.files import read_json, write_json
from eval_agent.serve.loading import plan_models
from tests.eval_agent.serving import ROOT, WORKER
from tests.train.backbones import TEMPLATES, make_backbone

MESSAGES = [
    {"role": "user", "content": "Interact with a household. "},
    {"role": "assistant", "content": "OK"},
    {"role": "user", "content": "Your task is to: put a clean mug in cabinet."},
]
OPENED = [*MESSAGES, {"role": "assistant", "content": "Thought: I need to find a mug.\nAction:"}]


@pytest.fixture(scope="module")
def own_base(tmp_path_factory):
    """Folder of a random Llama with tied embeddings and no pad token, whose template and tokenizer both write BOS."""
    folder = tmp_path_factory.mktemp("models") / "some-new-model"
    tokenizer = make_backbone("Llama-3.1")
    assert tokenizer.pad_token is None
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def own_adapter(own_base, tmp_path_factory):
    """An adapter over it, as a training run with "auto" leaves it."""
    folder = tmp_path_factory.mktemp("peft") / "own_agent"
    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(own_base), lora).save_pretrained(folder)
    settings = {"template": "auto", "chat_template_sha256": template_of_base(str(own_base)).sha256}
    write_json(folder / "run_settings.json", settings)
    return folder


@pytest.fixture(scope="module")
def recipe(own_base, tmp_path_factory):
    """One JSON file: the new backbone."""
    path = tmp_path_factory.mktemp("recipes") / "new.json"
    write_json(path, {"extends": "mistral", "model_name_or_path": str(own_base), "template": "auto"})
    write_json(path.parent / "mistral.json", read_json(ROOT / "configs/train/mistral.json"))
    return str(path)


def make_agent(served, model_name, recipe=None):
    config = {"controller_address": served.controller, "retry_seconds": 20}
    return load_agent(ModelConfig(agent_class="FastChatAgent", config=config, recipe=recipe), model_name)


@pytest.fixture(scope="module")
def own_worker(served, own_base, own_adapter):
    models = {"own_base": own_base, "own_agent": own_adapter}
    flags = [flag for name, path in models.items() for flag in ("--model-path", str(path), "--model-names", name)]
    worker = served.servers.start(WORKER, *flags)
    worker.wait("/worker_get_status")
    yield worker
    worker.process.terminate()
    worker.process.wait()


def published(tokenizer, messages, **settings) -> list[int]:
    return tokenizer.apply_chat_template(messages, return_dict=True, **settings)["input_ids"]


@pytest.mark.parametrize("name", ["own_base", "own_agent"])
def test_prompts_are_the_tokens_of_apply_chat_template(name, served, own_worker, own_base, recipe):
    tokenizer = AutoTokenizer.from_pretrained(own_base)
    for agent in (make_agent(served, name), make_agent(served, name, recipe)):
        assert agent.template == own_template(tokenizer, "m")
        for messages in (MESSAGES, OPENED):
            ending = {"add_generation_prompt": True} if messages is MESSAGES else {"continue_final_message": True}
            ids = published(tokenizer, messages, **ending)
            request = {"prompt": agent.template.render(messages), "temperature": 0.0, "max_new_tokens": 1, "echo": False}
            assert agent._ask("/worker_generate", request, Generated).usage.prompt_tokens == len(ids)
            assert tokenizer(request["prompt"])["input_ids"] == ids


def test_text_is_what_the_model_says_after_these_tokens_and_ends_at_the_end_mark(served, own_worker, own_base):
    tokenizer, model = AutoTokenizer.from_pretrained(own_base), AutoModelForCausalLM.from_pretrained(own_base).eval()
    ids = torch.tensor([published(tokenizer, MESSAGES, add_generation_prompt=True)])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0)
    said = tokenizer.decode(output[0, ids.shape[1]:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    agent = make_agent(served, "own_base")
    assert agent.generate(MESSAGES, temperature=0.0, max_new_tokens=12) == said
    scores = agent.score(OPENED, [" go", " take"])
    prompt = published(tokenizer, OPENED, continue_final_message=True)
    with torch.inference_mode():
        logprobs = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
    for score, verb in zip(scores, (" go", " take")):
        token = tokenizer(verb, add_special_tokens=False)["input_ids"][0]
        assert score.first_token == token and score.first_token_logprob == pytest.approx(logprobs[token].item(), abs=1e-4)


def test_recipes_and_served_models_have_to_agree(served, own_worker):
    with pytest.raises(InputError, match='its chat format is "auto" .*but "mistral_v02" is expected'):
        make_agent(served, "own_agent", "configs/train/mistral.json").generate(MESSAGES, temperature=0.0, max_new_tokens=1)


def test_a_served_model_of_a_named_format_is_not_the_recipe_s_own(served, recipe):
    with pytest.raises(InputError, match='its chat format is "gemma" .*but "auto" is expected'):
        make_agent(served, "gemma_agent", recipe).generate(MESSAGES, temperature=0.0, max_new_tokens=1)


def test_a_flag_asks_for_the_base_s_own_where_fastchat_would_know_a_format(served, base_model):
    flags = ("--model-path", str(base_model), "--model-names", "by_flag", "--conv-template", "auto")
    worker = served.servers.start(WORKER, *flags)
    worker.wait("/worker_get_status")
    agent = make_agent(served, "by_flag")
    assert agent.template == template_of_base(str(base_model))
    named = make_agent(served, "base")  # the same model, and the same text
    assert named.template.name == "mistral_v02" and named.template.render(OPENED) == agent.template.render(OPENED)
    worker.process.kill()


def test_two_workers_with_other_chat_templates_are_not_one_model():
    one, other = ChatFormat("auto", "worker 1", "a" * 64), ChatFormat("auto", "worker 2", "b" * 64)
    assert agree("m", one, ChatFormat("auto", "recipe")) == agree("m", one, one) == one
    with pytest.raises(InputError, match=r'm: its chat template \("auto", sha256 bbbb.*worker 2\) is not the one of worker 1 \(aaaa'):
        agree("m", other, one)


def test_an_adapter_over_a_base_with_another_chat_template_is_refused(own_base, own_adapter, tmp_path):
    assert plan_models([str(own_adapter)], None)[0].chat_format == format_of_run(own_adapter)
    other = shutil.copytree(own_base, tmp_path / "other")
    (other / "chat_template.jinja").write_text(TEMPLATES["Llama-3.1"].replace("December", "May"))
    with pytest.raises(InputError, match=f"own_agent: trained with another chat template .* than the one of {other} "):
        plan_models([str(own_adapter)], None, base_model=str(other))


def test_a_recipe_without_a_template_means_the_base_s_own(own_base, recipe, tmp_path):
    write_json(tmp_path / "bare.json", {"model_name_or_path": str(own_base)})
    assert format_of_recipe(str(tmp_path / "bare.json")).template == "auto"
    assert template_of_recipe(str(tmp_path / "bare.json")) == template_of_recipe(recipe) == template_of_base(str(own_base))
    assert template_of_recipe("configs/train/gemma.json").name == "gemma"
    write_json(tmp_path / "none.json", {"template": "auto"})
    with pytest.raises(InputError, match='none.json: field "model_name_or_path" is None'):
        template_of_recipe(str(tmp_path / "none.json"))
    write_json(tmp_path / "lost.json", {"template": "auto", "model_name_or_path": str(tmp_path / "nowhere")})
    with pytest.raises(InputError, match='lost.json: field "model_name_or_path": no such folder'):
        template_of_recipe(str(tmp_path / "lost.json"))


class Completions(JsonHandler):
    asked: list[dict] = []

    def do_POST(self):
        request = self.read()
        if self.path != "/v1/completions":
            return self.reply(404, {"error": {"message": "Not Found"}})
        self.asked.append(request)
        choice = {"index": 0, "text": " go", "finish_reason": "stop", "logprobs": {"top_logprobs": [{" go": -0.5}]}}
        self.reply(200, {"id": "x", "object": "text_completion", "created": 0, "model": "m", "choices": [choice]})


def test_an_openai_server_gets_the_same_prompt_and_the_end_mark(own_base, recipe):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Completions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    agent = OpenAIAgent("m", f"http://127.0.0.1:{server.server_port}/v1", recipe)
    agent.generate(OPENED, stop=["\nObs"], temperature=0.0, max_new_tokens=4)
    agent.score(MESSAGES, [" go"])
    server.shutdown()
    server.server_close()
    tokenizer = AutoTokenizer.from_pretrained(own_base)
    generated, exact, scored = Completions.asked  # this server tells nothing of the ids that were asked about
    assert generated["stop"] == ["<|eot_id|>", "\nObs"]
    assert generated["stop_token_ids"] == [tokenizer.convert_tokens_to_ids("<|eot_id|>")]
    assert tokenizer(generated["prompt"])["input_ids"] == published(tokenizer, OPENED, continue_final_message=True)
    ids = published(tokenizer, MESSAGES, add_generation_prompt=True)
    assert exact["prompt"][0] == tokenizer(scored["prompt"])["input_ids"] == ids
