"""What a picture says about itself: games, seeds, and what is missing."""

import pandas as pd
import pytest

from eval_agent.report.experiment import Experiment
from eval_agent.report.plot import FILLS, LINES, plot, rests_on
from eval_agent.report.summary import Report


def cell(row, mean=50.0, runs=1, missing=0, games=140, split="dev"):
    return {"row": row, "column": f"ALFWorld {split}", "task": "alfworld", "split": split, "measure": "average_reward",
            "mean": mean, "low": mean and mean - 5, "high": mean and mean + 5, "published": 60.0, "runs": runs,
            "all_games": games, "episodes": runs and games * runs - missing, "missing_episodes": missing, "planned": 1}


@pytest.mark.parametrize("cells, said", [
    ([cell("SFT"), cell("WKM")], "ALFWorld dev: 140 games, 1 seed."),
    ([cell("SFT"), cell("WKM", runs=2), cell("ETO", runs=2)], "ALFWorld dev: 140 games, 2 seeds; 1 seed: SFT."),
    ([cell("SFT"), cell("WKM", mean=None, runs=None)], "ALFWorld dev: 140 games, 1 seed; missing: WKM."),
    ([cell("SFT"), cell("WKM", runs=2, missing=7)],
     "ALFWorld dev: 140 games, 1 seed; 2 seeds: WKM; missing: 7 of 280 episodes of WKM."),
    ([cell("SFT", missing=7), cell("WKM", missing=7)],
     "ALFWorld dev: 140 games, 1 seed; missing: 7 of 140 episodes of each of SFT, WKM."),
    ([cell("SFT", mean=None, runs=None)], "ALFWorld dev: 140 games; missing: SFT."),
])  # fmt: skip
def test_games_seeds_and_gaps_are_said(cells, said):
    assert list(rests_on(pd.DataFrame(cells).astype({"runs": "Int64"}))) == [said]


def draw(path, *cells):
    cells = pd.DataFrame(cells)
    experiment = Experiment(name="fig", title="Fig", measures=["average_reward"], columns=["alfworld/dev", "alfworld/test"],
                            rows=[{"label": name, "method": name} for name in ("SFT", "WKM")], references=[], plot="bars")
    plot(Report(experiment, "tiny", "Mistral-7B", cells, cells.head(0)), path)


def test_a_row_without_a_bar_has_its_place_too(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("eval_agent.report.plot.pyplot.close", drawn.append)
    draw(tmp_path / "fig.png", cell("SFT"), cell("WKM", mean=None, runs=None))
    assert drawn[0].axes[0].get_ylim() == (1.5, -0.5)  # the rows stand at 0 and 1


def test_the_picture_and_the_pdf_say_it(tmp_path):
    draw(tmp_path / "fig.png", cell("SFT"), cell("WKM", runs=2, missing=7), cell("SFT", split="test", games=134))
    assert (tmp_path / "fig.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "fig.pdf").read_bytes().startswith(b"%PDF")


# Machado et al. (2009), severity 1: what people without red, green or blue cones see of (r, g, b)
BLIND = {
    "protan": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)],
    "deutan": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)],
    "tritan": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)],
}


@pytest.mark.parametrize("kind", BLIND)
def test_seen_and_unseen_are_told_apart_by_colour_blind_people(kind):
    pairs = [(LINES["dev"]["color"], LINES["test"]["color"]), (FILLS["dev"]["color"], FILLS["test"]["facecolor"])]
    for pair in pairs:
        seen = [[sum(w * c for w, c in zip(row, linear(color))) for row in BLIND[kind]] for color in pair]
        assert sum((a - b) ** 2 for a, b in zip(*seen)) ** 0.5 > 0.2, pair


def linear(color: str) -> list[float]:
    parts = [int(color[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
