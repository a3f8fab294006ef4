"""Unusual adapters beside a plain one and the base: each answers as under PEFT alone, or is refused by name."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from eval_agent.errors import InputError
from eval_agent.serve.engine import Engine
from eval_agent.serve.loading import add_adapters, plan_models
from eval_agent.serve.scoring import score_candidates

PROMPT = "[INST] Your task is to put a clean mug in cabinet. [/INST] Thought:"
SERVED = {
    "a head of its own": {"modules_to_save": ["lm_head"]},
    "embeddings of its own": {"modules_to_save": ["embed_tokens"]},
    "a norm and embeddings": {"modules_to_save": ["norm", "embed_tokens"]},
    "trained tokens": {"trainable_token_indices": [20, 21]},
    "DoRA": {"use_dora": True},
    "biases of the adapter": {"lora_bias": True},
    "scaled by rank": {"use_rslora": True},
    "ranks by layer": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "some layers": {"layers_to_transform": [1]},
    "embeddings as target": {"target_modules": ["embed_tokens", "q_proj"]},
    "the head as target": {"target_modules": ["lm_head", "q_proj"]},
}
CHANGES_BASE = {
    '"bias": "all"': {"bias": "all"}, '"bias": "lora_only"': {"bias": "lora_only"},
    '"init_lora_weights": "pissa"': {"init_lora_weights": "pissa"},
    '"init_lora_weights": "olora"': {"init_lora_weights": "olora"},
}
REFUSED = {
    '"target_parameters"': {"target_parameters": ["q_proj.weight"], "target_modules": []},
    '"layer_replication"': {"layer_replication": [[0, 2], [0, 2]]},
    '"alora_invocation_tokens"': {"alora_invocation_tokens": [5]},
}


@pytest.fixture(scope="module")
def make(base_model, tmp_path_factory):
    """Makes an adapter's folder from fields of its configuration, random in all that it trains."""

    def make(**fields):
        torch.manual_seed(len(str(fields)))
        config = LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **fields})
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base_model), config)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data.add_(torch.randn_like(weight) * 0.2)
        folder = tmp_path_factory.mktemp("adapter")
        model.save_pretrained(folder)
        return folder

    return make


@torch.inference_mode()
def alone(base_model, folder, tokenizer) -> float:
    model = AutoModelForCausalLM.from_pretrained(base_model)
    model = model if folder == base_model else PeftModel.from_pretrained(model, folder)
    ids = tokenizer(PROMPT + " go").input_ids
    return model.eval()(torch.tensor([ids])).logits[0, -2].log_softmax(-1)[ids[-1]].item()


def together(base_model, folders, tokenizer) -> list[float]:
    """Each name's score, asked for twice, in turns."""
    names = [str(number) for number in range(len(folders))]
    models = plan_models([str(folder) for folder in folders], [[name] for name in names])
    model, adapters = add_adapters(AutoModelForCausalLM.from_pretrained(base_model), models)
    engine = Engine(model, tokenizer, adapters, 1024, 0)
    scores = [[score_candidates(engine, name, PROMPT, [" go"])["scores"][0]["logprob"] for name in names]
              for _ in range(2)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    return scores[1]


@pytest.mark.parametrize("kind", SERVED)
def test_each_answers_as_alone(make, base_model, tokenizer, kind):
    unusual, plain, like = make(**SERVED[kind]), make(), make(**SERVED[kind], lora_alpha=16)
    for folders in ([unusual, plain, base_model], [plain, base_model, unusual], [unusual, like, plain]):
        expected = [alone(base_model, folder, tokenizer) for folder in folders]
        assert together(base_model, folders, tokenizer) == pytest.approx(expected, abs=1e-5)
    assert abs(alone(base_model, unusual, tokenizer) - alone(base_model, base_model, tokenizer)) > 1e-3


@pytest.mark.parametrize("feature", CHANGES_BASE)
def test_what_changes_the_base_is_served_alone_or_not_at_all(make, base_model, tokenizer, feature):
    unusual, plain = make(**CHANGES_BASE[feature]), make()
    expected = alone(base_model, unusual, tokenizer)
    assert together(base_model, [unusual], tokenizer) == pytest.approx([expected], abs=1e-5)
    for folders in ([unusual, plain], [base_model, unusual]):
        with pytest.raises(InputError) as refused:
            plan_models([str(folder) for folder in folders], None)
        said = f"{unusual}: {feature} changes the base that the other models share; serve it in a worker of its own"
        assert said in str(refused.value)


@pytest.mark.parametrize("feature", REFUSED)
def test_what_is_not_known_is_refused(make, feature):
    folder = make(**REFUSED[feature])
    with pytest.raises(InputError) as refused:
        plan_models([str(folder)], None)
    assert str(refused.value).startswith(f"{folder}: an adapter with {feature} (")
    assert "merge it into its base" in str(refused.value)


def test_an_adapter_over_a_larger_vocabulary_names_the_sizes(make, base_model, tmp_path, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(base_model)
    model.resize_token_embeddings(len(tokenizer) + 8)
    config = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    get_peft_model(model, config).save_pretrained(tmp_path)
    models = plan_models([str(tmp_path)], None, str(base_model))
    with pytest.raises(InputError, match=f"{tmp_path}: does not fit its base .*size mismatch.*{len(tokenizer) + 8}"):
        add_adapters(AutoModelForCausalLM.from_pretrained(base_model), models)
