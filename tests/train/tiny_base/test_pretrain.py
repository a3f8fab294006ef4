"""Pre-training: the learning rate over time, and going on from a saved state."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from eval_agent.config import read_config
from eval_agent.files import write_json
from train.tiny_base.pretrain import Pretraining, main
from train.tiny_base.recipe import Recipe

STAGE = {"minutes": 1, "lengths": [64, 128], "tokens_per_batch": 256}
RECIPE = read_config("configs/train/tiny_base.json") | {"warmup": 0.1, "decay": 0.5, "stages": [STAGE, STAGE]}


def start(base_model, folder) -> Pretraining:
    return Pretraining(AutoModelForCausalLM.from_pretrained(base_model), Recipe(**RECIPE), folder / "state.pt")


def test_the_learning_rate_warms_up_stays_and_falls_to_zero(base_model, tmp_path):
    training = start(base_model, tmp_path)
    rates = []
    for training.seconds in (0, 6, 12, 60, 90, 120):
        rates.append(training.rate())
    assert rates == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


def test_it_goes_on_from_its_saved_state(base_model, tmp_path):
    first = start(base_model, tmp_path)
    ids = torch.arange(20)[None]
    first.model(input_ids=ids, labels=ids).loss.backward()
    for optimizer in first.optimizers:
        optimizer.step()
    first.seconds = 33.0
    first._save()

    second = start(base_model, tmp_path)
    assert second.seconds == 33.0
    for old, new in zip(first.model.parameters(), second.model.parameters()):
        assert torch.equal(old, new)
    momentum = [state["momentum_buffer"] for state in second.optimizers[0].state.values()]
    assert momentum and all(buffer.abs().sum() > 0 for buffer in momentum)


@pytest.mark.parametrize("given, shares, told", [
    ([], None, "no text: give --train_games, --trajectories or --demo_shops"),
    (["--exp_config", "webshop_1k"], None, "--exp_config names a shop, which goes with --demo_shops only"),
    (["--demo_shops", "1", "--trajectories", "x"], None, '"shares" of no texts, but there is text of sciworld, webshop'),
    (["--trajectories", "x"], {"sciworld": 1, "alfworld": 1}, '"shares" of sciworld, alfworld, but there is text of sci'),
])
def test_texts_and_their_shares_go_together(given, shares, told, tmp_path, monkeypatch, capsys):
    write_json(tmp_path / "recipe.json", RECIPE | ({"shares": shares} if shares else {}))
    flags = ["--recipe", str(tmp_path / "recipe.json"), "--output_dir", str(tmp_path / "base"), *given]
    monkeypatch.setattr("sys.argv", ["pretrain", *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    told_there = capsys.readouterr().err + str(ended.value)
    assert ended.value.code != 0 and told in told_there
    assert not (tmp_path / "base").exists()
