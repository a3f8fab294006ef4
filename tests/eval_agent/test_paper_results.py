"""The whole way: from a model config and episode files to tables and plots."""

import csv
import hashlib
import io

from eval_agent.paper_plan import PaperModel, Plan
from eval_agent.paper_results import main
from eval_agent.report.measured import measure
from eval_agent.report.published import Experiment
from tests.eval_agent.sciworld_chain import calls, episode, write_run

GAMES = ("0_0", "0_1", "3_0", "3_1")


def play(plan, rewards):
    """Write episodes on "seen": by exp_name the rewards in the order of the games; None is no episode."""
    for run in plan.runs_of(None):
        if run.split == "dev" and run.exp_name in rewards:
            assert run.games == GAMES
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
                    for game, reward in zip(run.games, rewards[run.exp_name])
                    if reward is not None
                ],
            )


def plan_of(name):
    return Plan(Experiment.load(name), PaperModel.load("toy"))


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


def test_a_table_has_measured_beside_published_differences_and_task_types(laboratory):
    play(plan_of("fig3"), RUNS)
    assert main(["fig3", "toy", "--no_run"]) == 0
    told = written(laboratory, "fig3.md")
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
    assert (
        "\\* w/ task & state (WKM), ScienceWorld seen: 7 of 8 episodes (4, 3 of 4 in each run); "
        "0 games without any are not counted."
    ) in lines
    assert (
        "ScienceWorld seen: 4 games; 1 run: w/o all (SFT); 2 runs: w/o all at temperature 0.5 (ours), "
        "w/ task & state (WKM)." in lines
    )
    assert "| w/ task & state (WKM) | +50.00 [+0.0, +100.0] (2 up, 0 down of 4) |" in lines
    assert (
        "## Difference from w/o all at temperature 0.5 (ours)" in lines
        and "WebShop: nothing measured." in lines
    )
    assert "| melt | 2 | 0.00 [0.0, 0.0] | 25.00 [0.0, 50.0] | 50.00 [0.0, 100.0] |" in lines

    wkm = next(
        row
        for row in rows_of(written(laboratory, "fig3.csv"))
        if (row["method"], row["task"], row["split"]) == ("wkm", "sciworld", "dev")
    )
    assert (wkm["mean"], wkm["games"], wkm["runs"], wkm["missing_episodes"]) == ("75.0", "4", "2", "1")
    assert (wkm["published"], wkm["difference_from_sft"], wkm["difference_from_sft_warm"]) == (
        "62.12",
        "50.0",
        "37.5",
    )
    kinds = {
        (row["method"], row["task_type"]): row for row in rows_of(written(laboratory, "fig3_by_type.csv"))
    }
    assert kinds["wkm", "boil"]["difference"] == "50.0" and kinds["wkm", "boil"]["difference_from"] == "sft"
    assert kinds["sft", "boil"]["difference"] == ""


def test_the_same_episodes_give_the_same_files(laboratory):
    play(plan_of("fig3"), RUNS)
    sums = []
    for _ in range(2):
        main(["fig3", "toy", "--no_run"])
        folder = laboratory / "outputs" / "paper" / "toy"
        sums.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()})
    assert sums[0] == sums[1] and set(sums[0]) == {"fig3.md", "fig3.csv", "fig3_by_type.csv", "fig3.png"}


def test_wins_need_every_method(laboratory):
    plan = plan_of("fig9")
    runs = {"wkm": (1, 1, 0, 0), "eto": (1, 0, 0, 0), "nat": (0, 0, 0, 0)}
    play(plan, runs)
    cells = measure(plan.experiment, plan.played(), "Toy", "Mistral-7B").cells
    assert cells["WKM", "sciworld/dev"].measured is None
    play(plan, {**runs, "knowagent": (0, 0, 0, 0), "wkm_run2": (1, 1, 0, 0)})
    cells = measure(plan.experiment, plan.played(), "Toy", "Mistral-7B").cells
    shares = {
        label: cells[label, "sciworld/dev"].measured.mean for label in ("WKM", "ETO", "KnowAgent", "NAT")
    }
    # WKM and ETO share the first game, WKM has the second, all four share the others
    assert shares == {"WKM": 50.0, "ETO": 25.0, "KnowAgent": 12.5, "NAT": 12.5}


def test_the_gamma_curve_is_drawn_and_a_table_without_results_is_all_missing(laboratory):
    play(
        plan_of("table7"),
        {"sft": (0, 0, 0, 1), "wkm": (1, 1, 1, 1), "wkm_gamma0": (0, 0, 0, 0), "wkm_gamma1": (1, 0, 1, 0)},
    )
    for name in ("table7", "fig4", "table1", "ablations"):
        assert main([name, "toy", "--no_run"]) == 0
    assert (laboratory / "outputs/paper/toy/table7.png").read_bytes().startswith(b"\x89PNG")
    assert (laboratory / "outputs/paper/toy/fig4.png").read_bytes().startswith(b"\x89PNG")
    assert (laboratory / "outputs/paper/toy/ablations.png").exists()
    assert not (laboratory / "outputs/paper/toy/table1.png").exists()
    assert "| dataset-level knowledge (human) | missing | - | missing | - |" in written(laboratory, "fig4.md")
    (row,) = [
        row
        for row in rows_of(written(laboratory, "table7.csv"))
        if (row["row"], row["task"], row["split"]) == ("γ = 0.7", "sciworld", "dev")
    ]
    assert (row["mean"], row["published"]) == ("100.0", "")  # the task's own gamma: the WKM's run
    assert (row["difference_from_sft"], row["difference_from_wkm_gamma1"]) == ("75.0", "50.0")
    assert "## Difference from γ = 1\n" in written(laboratory, "table7.md")


def test_episodes_that_a_full_context_ended_are_told_beside_average_steps(laboratory):
    for run in plan_of("table2").runs_of(None):
        if run.split == "dev" and run.exp_name in ("sft", "knowagent"):
            full = run.exp_name == "knowagent"
            episodes = [episode(game, steps=20) for game in GAMES]
            if full:
                episodes[0] = episode(GAMES[0], steps=4, reason="context_overflow")
            write_run(run, episodes)
    main(["table2", "toy", "--no_run"])
    lines = written(laboratory, "table2.md").splitlines()
    assert any(line.startswith("| KnowAgent |") and "| 16.00 [8.0, 20.0] (1 cut short) |" in line for line in lines)
    assert any(line.startswith("| SFT (w/o all) |") and "| 20.00 [20.0, 20.0] |" in line for line in lines)
    assert any(line.startswith("Cut short: ") and "KnowAgent, ScienceWorld seen: 1 of 4" in line for line in lines)
    counts = {row["method"]: row["cut_short"] for row in rows_of(written(laboratory, "table2.csv"))
              if (row["task"], row["split"]) == ("sciworld", "dev")}
    assert (counts["knowagent"], counts["sft"], counts["wkm"]) == ("1", "0", "")


def test_rows_with_the_same_conversations_and_the_number_of_neighbours_are_named(laboratory):
    for run in plan_of("table7").runs_of(None):
        if run.split == "dev" and run.exp_name.startswith("wkm"):
            said = "agent alone" if "gamma0.9" in run.exp_name or "gamma1" in run.exp_name else run.exp_name
            write_run(run, [episode(game, said=said) for game in GAMES])
    main(["table7", "toy", "--no_run"])
    lines = written(laboratory, "table7.md").splitlines()
    assert ("ScienceWorld seen: the same conversations in every game and run, so one measurement: "
            "γ = 0.7, WKM (the task's γ); γ = 0.9, γ = 1.") in lines
    assert "N, the nearest triplets that give p_know: 3000 in ScienceWorld (the paper: 3000)." in lines


def test_a_dry_run_starts_and_writes_nothing(laboratory, capsys):
    assert main(["fig9", "toy", "--dry_run"]) == 0
    assert "10 runs, 30 episodes, 30 of them to be played" in capsys.readouterr().out
    assert calls(laboratory) == [] and not (laboratory / "outputs").exists()


def test_a_failing_run_is_named_its_cells_are_missing_and_the_code_is_1(laboratory, capsys, monkeypatch):
    monkeypatch.setenv("BROKEN", "eto")
    assert main(["table2", "toy"]) == 1
    told = capsys.readouterr()
    assert "failed: sciworld/dev eto: " in told.err
    lines = written(laboratory, "table2.md").splitlines()
    assert any(line.startswith("| ETO |") and "| missing | 24.13 |" in line for line in lines)
    assert any(line.startswith("| NAT |") and "| 11.50 [10.5, 12.5] | 20.18 |" in line for line in lines)
    monkeypatch.delenv("BROKEN")
    assert main(["table2", "toy"]) == 0
    assert (
        "| ETO | 11" not in told.out and "wrote outputs/paper/toy/table2.{md, csv, _by_type.csv}" in told.out
    )


def test_a_backbone_without_published_numbers_has_none(laboratory):
    fig3 = measure(Experiment.load("fig3"), {}, "Gemma-7B", "Gemma-7B")
    assert {cell.published for cell in fig3.cells.values()} == {None}
    table1 = measure(Experiment.load("table1"), {}, "Gemma-7B", "Gemma-7B")
    assert table1.cells["WKM", "alfworld/dev"].published == 70.71
    assert table1.cells["GPT-4 ReAct", "alfworld/dev"].published == 44.29
    assert table1.cells["SFT (w/o all)", "alfworld/dev"].published is None
