"""The blind buyer's reward: printed for a shop, refused for another benchmark."""

import subprocess
import sys
from pathlib import Path

from eval_agent.demo.shop_making import make_shop
from eval_agent.files import read_json, write_json

CONFIG = Path("configs/task/webshop_demo.json")


def blind(config):
    command = [sys.executable, "-m", "eval_agent.report.blind", "--exp_config", str(config)]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_is_what_the_demo_shop_says_of_itself(tmp_path):
    about = make_shop(0, tmp_path / "shop")
    config = {"extends": str(CONFIG.resolve()), "task": {"data_path": str(tmp_path / "shop"), "shop": {
        **read_json(CONFIG)["task"]["shop"], "store": str(tmp_path / "shop" / "store")}}}
    write_json(tmp_path / "mine.json", config)
    run = blind(tmp_path / "mine.json")
    assert run.returncode == 0, run.stderr
    expected = 100 * about["test"]["blind_reward"]
    assert run.stdout == f"Buying the first result unseen, without options, earns {expected:.1f} on these 24 goals.\n"


def test_another_benchmark_is_refused():
    run = blind("sciworld_demo")
    assert run.returncode == 2 and "sciworld_demo: plays sciworld, expected a config of WebShop" in run.stderr
