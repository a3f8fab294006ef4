"""The whole way: from a model config and episode files to tables and plots."""

import csv
import hashlib
import io

from eval_agent.report.experiment import Experiment
from eval_agent.report.paper import main
from eval_agent.report.paper_model import PaperModel
from eval_agent.report.runs import Plan
from eval_agent.report.summary import report
from tests.eval_agent.toy_paper import calls, episode, of_sciworld, write_run

GAMES = ["0_0", "0_1", "3_0", "3_1"]


def play(plan, rewards):
    """Write episodes on "seen": by exp_name the rewards in the order of the games; None is no episode."""
    for run in plan.runs_of(None):
        if run.split == "dev" and run.exp_name in rewards:
            assert plan.games_of(run) == GAMES
            write_run(
                run,
                [
                    episode(
                        game,
                        "boil" if game[0] == "0" else "melt",
                        reward,
                        10 if reward == 1 else 40,
                        int(reward == 0),
                    )
                    for game, reward in zip(GAMES, rewards[run.exp_name])
                    if reward is not None
                ],
            )


def plan_of(name):
    return Plan(Experiment.load(name), PaperModel.load("toy"))


def means_of(plan):
    """What is measured on "seen", by row."""
    cells = report(plan.experiment, "Toy", "Mistral-7B", plan.outline(), plan.played()).cells
    cells = cells[(cells["task"] == "sciworld") & (cells["split"] == "dev")].dropna(subset="mean")
    return dict(zip(cells["row"], cells["mean"]))


def written(folder, name):
    return (folder / "outputs" / "paper" / "toy" / name).read_text()


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


RUNS = {
    "sft": (0, 1, 0, 0),
    "sft_warm": (0, 1, 0, 0),
    "sft_warm_run2": (0, 1, 1, 0),
    "wkm": (1, 1, 0, 1),
    "wkm_run2": (1, 1, 0, None),
}


def test_a_table_has_measured_beside_published_differences_and_task_types(toy_paper):
    play(plan_of("fig3"), RUNS)
    assert main(["fig3", "toy"]) == 0
    told = written(toy_paper, "fig3.md")
    lines = told.splitlines()
    (sft,) = [line for line in lines if line.startswith("| w/o all (SFT) | missing | 63.57")]
    assert "| 25.00 [0.0, 75.0] | 52.78 | missing | 50.32 |" in sft and sft.count("missing") == 4
    assert any(
        line.startswith("| w/o all at temperature 0.5 (ours) |") and "| 37.50 [" in line for line in lines
    )
    # game values 100, 100, 0, 100: the last one was played once
    assert any(
        line.startswith("| w/ task & state (WKM) |") and "| 75.00 [25.0, 100.0] * |" in line for line in lines
    )
    assert "\\* ScienceWorld seen: 7 of 8 episodes of w/ task & state (WKM)." in lines
    assert (
        "ScienceWorld seen: 4 games; 1 run: w/o all (SFT); 2 runs: w/o all at temperature 0.5 (ours), "
        "w/ task & state (WKM)." in lines
    )
    assert "| w/ task & state (WKM) | +50.00 [+0.0, +100.0] (2 up, 0 down of 4) |" in lines
    assert (
        "## Difference from w/o all at temperature 0.5 (ours)" in lines
        and "WebShop: nothing measured." in lines
    )
    assert "| melt (2) | 0.00 [0.0, 0.0] | 25.00 [0.0, 50.0] | 50.00 [0.0, 100.0] |" in lines

    wkm = next(
        row
        for row in rows_of(written(toy_paper, "fig3.csv"))
        if (row["method"], row["task"], row["split"]) == ("wkm", "sciworld", "dev")
    )
    assert (wkm["mean"], wkm["games"], wkm["runs"], wkm["missing_episodes"]) == ("75.0", "4", "2", "1")
    assert (wkm["published"], wkm["difference_from_sft"], wkm["difference_from_sft_warm"]) == (
        "62.12",
        "50.0",
        "37.5",
    )
    kinds = {
        (row["method"], row["task_type"]): row for row in rows_of(written(toy_paper, "fig3_by_type.csv"))
    }
    assert kinds["wkm", "boil"]["difference_from_sft"] == "50.0"
    assert kinds["sft", "boil"]["difference_from_sft"] == ""


def test_the_same_episodes_give_the_same_files(toy_paper):
    play(plan_of("fig3"), RUNS)
    sums = []
    for _ in range(2):
        main(["fig3", "toy"])
        folder = toy_paper / "outputs" / "paper" / "toy"
        sums.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()})
    assert sums[0] == sums[1] and set(sums[0]) == {"fig3.md", "fig3.csv", "fig3_by_type.csv", "fig3.png", "fig3.pdf"}


def test_training_runs_have_their_own_means_and_one_interval_with_the_games(toy_paper):
    of_sciworld(toy_paper / "configs/paper/training_runs.json")
    wins = {"": (0, 1, 0, 0), "_train2": (0, 1, 1, 0), "_train3": (1, 1, 1, 0)}
    runs = {f"sft_warm{training}{run}": wins[training] for training in wins for run in ("", "_run2")}
    play(plan_of("training_runs"), {**runs, "wkm": (1, 1, 1, 1), "wkm_train2": (1, 1, 0, 1)})
    assert main(["training_runs", "toy"]) == 0
    lines = written(toy_paper, "training_runs.md").splitlines()
    assert any(line.startswith("| SFT at temperature 0.5 | 50.00 [") for line in lines)
    assert "| SFT at temperature 0.5 | ScienceWorld seen | average reward x 100 | 25.00 | 50.00 | 75.00 | 25.00 | [16.7, 83.3] |" in lines
    assert any(line.startswith("| WKM | ScienceWorld seen |") and "| 100.00 | 75.00 | missing | 17.68 |" in line for line in lines)
    assert any(line.startswith("| WKM | +50.00 [") and "(2 up, 0 down of 4)" in line for line in lines)
    (wkm,) = [row for row in rows_of(written(toy_paper, "training_runs.csv")) if (row["row"], row["split"]) == ("WKM", "dev")]
    assert (wkm["runs"], wkm["missing_episodes"], wkm["mean_training1"], wkm["mean_training3"]) == ("2", "16", "100.0", "")


def test_wins_need_every_method(toy_paper):
    plan = plan_of("fig9")
    runs = {"wkm": (1, 1, 0, 0), "eto": (1, 0, 0, 0), "nat": (0, 0, 0, 0)}
    play(plan, runs)
    assert means_of(plan_of("fig9")) == {}
    play(plan, {**runs, "knowagent": (0, 0, 0, 0), "wkm_run2": (1, 1, 0, 0)})
    # WKM and ETO share the first game, WKM has the second, all four share the others
    assert means_of(plan_of("fig9")) == {"WKM": 50.0, "ETO": 25.0, "KnowAgent": 12.5, "NAT": 12.5}


def test_the_gamma_curve_is_drawn_and_a_table_without_results_is_all_missing(toy_paper):
    play(
        plan_of("table7"),
        {"sft": (0, 0, 0, 1), "wkm": (1, 1, 1, 1), "wkm_gamma0": (0, 0, 0, 0), "wkm_gamma1": (1, 0, 1, 0)},
    )
    for name in ("table7", "fig4", "table1", "ablations"):
        assert main([name, "toy"]) == 0
    assert (toy_paper / "outputs/paper/toy/table7.png").read_bytes().startswith(b"\x89PNG")
    assert (toy_paper / "outputs/paper/toy/fig4.png").read_bytes().startswith(b"\x89PNG")
    assert (toy_paper / "outputs/paper/toy/ablations.png").exists()
    assert not (toy_paper / "outputs/paper/toy/table1.png").exists()
    assert "| dataset-level knowledge (human) | missing | - | missing | - |" in written(toy_paper, "fig4.md")
    (row,) = [
        row
        for row in rows_of(written(toy_paper, "table7.csv"))
        if (row["row"], row["task"], row["split"]) == ("γ = 0.7", "sciworld", "dev")
    ]
    assert (row["mean"], row["published"]) == ("100.0", "")  # the task's own gamma: the WKM's run
    assert (row["difference_from_sft"], row["difference_from_wkm_gamma1"]) == ("75.0", "50.0")
    assert "## Difference from γ = 1\n" in written(toy_paper, "table7.md")


def test_episodes_that_a_full_context_ended_are_told_beside_average_steps(toy_paper):
    for run in plan_of("table2").runs_of(None):
        if run.split == "dev" and run.exp_name in ("sft", "knowagent"):
            full = run.exp_name == "knowagent"
            episodes = [episode(game, steps=20) for game in GAMES]
            if full:
                episodes[0] = episode(GAMES[0], steps=4, reason="context_overflow")
            write_run(run, episodes)
    main(["table2", "toy"])
    lines = written(toy_paper, "table2.md").splitlines()
    assert any(line.startswith("| KnowAgent |") and "| 16.00 [8.0, 20.0] (1 cut short) |" in line for line in lines)
    assert any(line.startswith("| SFT (w/o all) |") and "| 20.00 [20.0, 20.0] |" in line for line in lines)
    assert any(line.startswith("Cut short: ") and "KnowAgent, ScienceWorld seen: 1 of 4" in line for line in lines)
    counts = {row["method"]: row["cut_short"] for row in rows_of(written(toy_paper, "table2.csv"))
              if (row["task"], row["split"]) == ("sciworld", "dev")}
    assert (counts["knowagent"], counts["sft"], counts["wkm"]) == ("1", "0", "")


def test_rows_with_the_same_conversations_and_the_number_of_neighbours_are_named(toy_paper):
    for run in plan_of("table7").runs_of(None):
        if run.split == "dev" and run.exp_name.startswith("wkm"):
            spoken = "agent alone" if "gamma0.9" in run.exp_name or "gamma1" in run.exp_name else run.exp_name
            write_run(run, [episode(game, conversation=spoken) for game in GAMES])
    main(["table7", "toy"])
    lines = written(toy_paper, "table7.md").splitlines()
    assert ("ScienceWorld seen: the same conversations in every game and run, so one measurement: "
            "γ = 0.7, WKM (the task's γ); γ = 0.9, γ = 1.") in lines
    assert "N, the nearest triplets that give p_know: 3000 in ScienceWorld (the paper: 3000)." in lines


def test_a_dry_run_starts_and_writes_nothing(toy_paper, capsys):
    assert main(["fig9", "toy", "--dry_run"]) == 0
    assert "10 runs, 30 episodes, 30 of them to be played" in capsys.readouterr().out
    assert calls(toy_paper) == [] and not (toy_paper / "outputs").exists()


def test_a_backbone_without_published_numbers_has_none():
    def published(name):
        experiment = Experiment.load(name).of_model("Gemma-7B")
        return {(row.label, column): experiment.published(row, column) for row in experiment.rows for column in experiment.columns}

    assert set(published("fig3").values()) == {None}
    table1 = published("table1")
    assert (table1["WKM", "alfworld/dev"], table1["GPT-4 ReAct", "alfworld/dev"]) == (70.71, 44.29)
    assert table1["SFT (w/o all)", "alfworld/dev"] is None
