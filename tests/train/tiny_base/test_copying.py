"""The model that can copy: what followed a token before is its guess for what follows now, and training keeps that."""

import pytest
import torch
from tqdm import tqdm
from transformers import MistralConfig, MistralForCausalLM

from train.tiny_base.copying import CopyingHeads
from train.tiny_base.pretrain import Pretraining
from train.tiny_base.recipe import load_recipe

WORDS = 300
BEGINNING = WORDS  # the token that every text begins with
NAMES = [str(word) for word in range(WORDS + 1)]  # what the vocabulary's words are called


def fresh(heads: int = 4) -> MistralForCausalLM:
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(
        vocab_size=WORDS + 1, hidden_size=256, intermediate_size=64, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=heads, rope_theta=1e20, initializer_range=0.01, tie_word_embeddings=True,
    ))


def with_heads(model: MistralForCausalLM, kind: str = "shop") -> CopyingHeads:
    return CopyingHeads(model, NAMES, BEGINNING, kind)


def right(model, text: torch.Tensor, again: torch.Tensor) -> float:
    """Share of the tokens of ``again``, but for the first three, that are foreseen when it is read after ``text``."""
    beginning = torch.full((len(text), 1), BEGINNING)
    with torch.no_grad():
        guesses = model(input_ids=torch.cat([beginning, text, again], 1)).logits[:, text.shape[1] + 1:].argmax(-1)
    return (guesses[:, 2:-1] == again[:, 3:]).float().mean().item()


@pytest.fixture
def text() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.stack([torch.randperm(WORDS) for _ in range(4)])


@pytest.mark.parametrize("kind", ["shop", "plain"])
def test_a_fresh_model_with_these_heads_copies_and_without_them_does_not(kind, text):
    model = fresh()
    assert right(model, text, text) < 0.05
    with_heads(model, kind)
    assert right(model, text, text) > 0.95


def test_what_stands_before_a_token_tells_which_of_its_places_is_meant(text):
    """Every token stands at two places, before different ones."""
    model = fresh()
    with_heads(model)
    twice = torch.cat([text, text.flip(1)], 1)
    assert right(model, twice, text) > 0.9


def test_where_a_token_stands_for_the_first_time_the_match_looks_at_the_beginning(text):
    model = fresh()
    model.set_attn_implementation("eager")
    with_heads(model)
    ids = torch.cat([torch.full((4, 1), BEGINNING), text], 1)
    with torch.no_grad():
        match = model(input_ids=ids, output_attentions=True).attentions[1][:, 0]
    assert match[:, 1:, 0].mean() > 0.85


WORDING = "click for search [ I is : . Thought > [SEP] Next color costs $".split()
IDS = ["B0AA", "B0BB", "W12"]


@pytest.mark.parametrize("told, guess", [
    ("I click 20 . FILLER I click 21 . click [", "21"),  # the nearest
    ("I search for 20 for 21 . 22 23 . search [", "20"),  # not what followed another "for"
    ("color : 20 FILLER color is", "20"),
    ("color is 20 . FILLER color is 21 . I click", "21"),
    ("color is 20 . FILLER Thought : B0AA 22 . B0BB 23 . I click", "B0BB"),
    ("B0AA 22 FILLER color is 20 . I click", "20"),
    ("Next > [SEP] W12 22 [SEP] 23 [SEP] B0BB FILLER Thought :", "W12"),
    ("[SEP] B0BB FILLER Thought :", None),
    ("25 $ 20 . 21 [SEP] 22 [SEP] $ 23 . 24 [SEP] 25 costs", "23"),
    ("$ 20 . 21 [SEP] 22 20 26 FILLER costs 20", "."),  # not what followed 20 elsewhere
    ("Next > [SEP] B0AA 20 [SEP] 21 [SEP] B0AA 22 FILLER Thought : B0AA", "20"),
    ("[SEP] B0AA 20 [SEP] 21 [SEP] B0AA 22 FILLER Thought : B0AA 22 . I click B0AA", "22"),
])
def test_what_a_thought_and_its_action_name_is_guessed_by_its_wording(told, guess):
    """What is not guessed by one of the wired heads may be anything, but not the number after another word."""
    names = [*WORDING, *IDS, *NAMES[len(WORDING) + len(IDS):]]
    model = fresh()
    CopyingHeads(model, names, BEGINNING, "shop")
    filler = " ".join(names[40:190])
    ids = [BEGINNING, *(names.index(name) for name in told.replace("FILLER", filler).split())]
    with torch.no_grad():
        guessed = names[model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()]
    assert guessed == guess if guess else guessed not in ("20", "B0BB")


def test_a_word_and_its_twin_with_a_space_share_a_code():
    model = fresh()
    CopyingHeads(model, ["brown", "red", "brown", *NAMES[3:]], BEGINNING, "shop")
    brown, red, spaced = model.get_input_embeddings().weight[:3, :64]
    assert torch.equal(brown, spaced) and not torch.equal(brown, red)


def test_training_moves_the_rest_and_keeps_these(text, tmp_path):
    recipe = load_recipe("configs/train/tiny_base.json").model_copy(update={"learning_rate": 0.05, "weight_decay": 0.1})
    model = fresh()
    training = Pretraining(model, recipe, tmp_path / "state.pt", with_heads(model))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    training.seconds = 600.0  # after the warm-up
    ids, labels = text[:, :20].tolist(), torch.randint(WORDS, (4, 20)).tolist()
    training._step(model, iter([(ids, labels)]), tqdm(disable=True))
    query, code = "model.layers.1.self_attn.q_proj.weight", "model.embed_tokens.weight"
    after = dict(model.named_parameters())
    assert torch.equal(before[query][:64], after[query][:64]) and not torch.equal(before[query], after[query])
    assert torch.equal(before[code][:, :64], after[code][:, :64]) and not torch.equal(before[code], after[code])

    lengths = after[code][:, 204:].pow(2).sum(1) + after[code][:, 64:125].pow(2).sum(1)
    assert torch.allclose(lengths, lengths[0]) and not torch.allclose(before[code].pow(2).sum(1), lengths)

    training._save()
    again = fresh()
    Pretraining(again, recipe, tmp_path / "state.pt", with_heads(again)).copying.keep()
    assert torch.allclose(again.get_input_embeddings().weight, after[code])  # made equally long once more: rounded
    assert all(torch.equal(weight, after[name]) for name, weight in again.named_parameters() if name != code)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="heads of 64"):
        with_heads(fresh(heads=8))
