"""The viewer's page, opened in a real Chromium: real episodes of the samples, and made ones with hostile text.

SCREENSHOTS names a folder that keeps a picture of each width and colour scheme.
"""

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eval_agent.errors import InputError
from eval_agent.knowledge.gammas import agent_verb
from eval_agent.knowledge.planner import blend, choose
from eval_agent.report import viewer
from eval_agent.report.steps import gamma_of, opening, planned, steps
from eval_agent.trajectories.episodes import read_episodes

SAMPLES = Path(__file__).resolve().parents[3] / "data/results/tiny/samples"
CD = "look_at_obj_in_light-CD-None-DeskLamp-320__trial_T20190907_224451_655673"
PAPER = "pick_and_place_simple-ToiletPaper-None-ToiletPaperHanger-415__trial_T20190908_050518_595510"
HOSTILE = '</script><script>window.owned = 1</script><img src=x onerror="window.owned = 2"><!--<script> & "\u2028'
FLAGS = ("--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync --hide-scrollbars").split()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield Page(chrome)
    chrome.quit()


class Page:
    """What a person does with the page."""

    def __init__(self, chrome):
        self.chrome, self.path = chrome, None

    def open(self, path: Path, link: str = "") -> "Page":
        self.size(1280, 900)
        self.chrome.get("about:blank")
        self.chrome.get_log("browser")
        self.chrome.get(f"{path.as_uri()}{link}")
        return self

    def size(self, width: int, height: int, scheme: str = "light") -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def ask(self, script: str, *values):
        return self.chrome.execute_script(script, *values)

    def texts(self, selector: str) -> list[str]:
        return [self.ask("return arguments[0].textContent", node) for node in self.all(selector)]

    def all(self, selector: str) -> list:
        return self.chrome.find_elements("css selector", selector)

    def click(self, selector: str, text: str = "") -> None:
        next(node for node in self.all(selector) if text in node.text and node.is_displayed()).click()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.chrome.switch_to.active_element.send_keys(key)

    def slide(self, gamma: float) -> None:
        self.ask("const s = document.getElementById('gamma'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", gamma)

    @property
    def hash(self) -> str:
        return self.ask("return decodeURIComponent(location.hash)")

    @property
    def errors(self) -> list:
        return [entry["message"] for entry in self.chrome.get_log("browser") if entry["level"] == "SEVERE"]


def until(true, seconds: float = 5) -> None:
    """Wait for what the page does on an event of its own."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def page_of(folder: Path, *runs) -> Path:
    viewer.write_page(viewer.read_runs([str(run) for run in runs]), folder / "viewer.html")
    return folder / "viewer.html"


def episode(task_id="g", reward=0.0, replies=("Thought: a.\nAction: look",), observation="Nothing.", **meta) -> dict:
    turns = ["You are an agent.", "OK", "You are in a room.\nYour task is to: look around.",
             *(turn for reply in replies for turn in (reply, f"Observation: {observation}"))]
    conversations = [{"from": ("human", "gpt")[n % 2], "value": turn} for n, turn in enumerate(turns)]
    return {"conversations": conversations, "meta": {
        "task_id": task_id, "task_type": "boil", "steps": len(replies), "reward": reward, "finished": True,
        "success": reward == 1, "invalid_actions": 0, **meta}}  # fmt: skip


def write_run(folder: Path, *episodes: dict) -> Path:
    for one in episodes:
        (folder / "dev").mkdir(parents=True, exist_ok=True)
        (folder / "dev" / f"{one['meta']['task_id']}.json").write_text(json.dumps(one))
    return folder


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> Path:
    """The page of the shipped samples: w/ task and WKM, two games each."""
    return page_of(tmp_path_factory.mktemp("samples"), SAMPLES / "w_task", SAMPLES / "wkm")


def sample(run: str, game: str = CD) -> dict:
    return json.loads((SAMPLES / run / f"{game}.json").read_text())


def test_the_list_shows_all_games_those_with_different_results_first(browser, samples):
    page = browser.open(samples)
    assert page.errors == []
    rewards = {game: [sample(run, game)["meta"]["reward"] for run in ("w_task", "wkm")] for game in (CD, PAPER)}
    assert rewards == {CD: [1.0, 0.0], PAPER: [1.0, 1.0]}
    assert page.texts("#games tbody small") == [CD, PAPER]
    assert page.texts("#games tbody td:nth-child(4)") == ["result", "no"]
    assert page.texts("#head tbody th") == ["w_task", "wkm"]
    landmarks = ["header", "main", "footer", "section[aria-label]"]
    assert all(page.all(name) for name in landmarks) and page.ask("return document.documentElement.lang") == "en"


def test_clicking_sorts_and_filters(browser, samples):
    page = browser.open(samples)
    page.click("#games thead button", "task")
    goals = page.texts("#games tbody td:first-child a")
    assert goals == sorted(goals) and page.all("th[aria-sort=ascending]")
    page.click("#games thead button", "task")
    assert page.texts("#games tbody td:first-child a") == goals[::-1]
    page.click("#games tbody button", "pick_and_place_simple")
    assert len(page.all("#games tbody tr")) == 1 and page.texts("#shown")[0].startswith("1 of 2 games.")
    page.click("#chips button")
    assert len(page.all("#games tbody tr")) == 2
    page.all("#text")[0].send_keys("desklamp")
    assert len(page.all("#games tbody tr")) == 1


def test_a_game_is_walked_through_by_keys_and_a_link_leads_to_a_step(browser, samples):
    page = browser.open(samples)
    page.press("j", "\ue007")  # Enter: a link's own event comes later
    until(lambda: page.all("article.current"))
    opened = page.hash.split("/")[1]
    assert page.hash == f"#seen/{opened}/0"
    page.press("j", "j", "k", "\ue014")  # right arrow
    assert page.hash == f"#seen/{opened}/2"
    assert {node.get_attribute("data-step") for node in page.all("article.current")} == {"2"}
    page.press("n")
    assert page.hash.endswith("/0") and opened not in page.hash
    page.press("\ue00c")  # Esc
    assert page.all("#list")[0].is_displayed()
    page.open(samples, f"#seen/{CD}/7")
    (current, *_) = page.all("article.current")
    expected = steps(sample("wkm"))[7]
    assert expected.observation in page.texts("article.current")[-1] and expected.thought in page.texts("article.current")[-1]
    assert 0 <= page.ask("return arguments[0].getBoundingClientRect().top", current) < 200


@pytest.mark.parametrize("link", ["#seen/nothing/3", "#seen/%", "#", "#a/b/c/d/e"])
def test_a_link_to_nothing_leads_to_the_list(browser, samples, link):
    page = browser.open(samples, link)
    assert page.errors == [] and len(page.all("#games tbody tr")) == 2 and page.all("#list")[0].is_displayed()


@pytest.mark.parametrize("link", [f"#seen/{CD}/nothing/9-x", f"#seen/{CD}/99"])
def test_a_link_to_a_step_that_is_not_there_leads_to_the_game(browser, samples, link):
    page = browser.open(samples, link)
    assert page.errors == [] and len(page.all("article")) > 40


def test_a_step_shows_what_the_planner_knew_and_marks_what_it_did(browser, samples):
    page = browser.open(samples, f"#seen/{CD}/0")
    wkm = sample("wkm")
    assert opening(wkm).task_knowledge in page.texts(".knowledge")
    shown = [text for text in page.texts(".mark") if text.startswith("▲")]
    played = [one for one in planned(wkm) if one["verb"] != agent_verb(one)]
    assert shown == [f"▲ overruled: {agent_verb(one)} → {one['verb']}" for one in played] and shown
    assert sum(text.startswith("✕") for text in page.texts(".mark")) == sum(
        sample(run)["meta"]["invalid_actions"] for run in ("w_task", "wkm"))
    page.click("#whole")
    assert len(page.all(".bars tbody tr")) == 13 * len(planned(wkm))


def test_gamma_redraws_every_decision_as_the_planner_would(browser, samples):
    page, decisions = browser.open(samples, f"#seen/{CD}/0"), planned(sample("wkm"))
    assert page.texts(".bars .chosen th") == [f"{one['verb']} ● chosen" for one in decisions]
    for gamma in viewer.GAMMAS:
        page.slide(gamma)
        alone = [gamma == 1 or one["p_know"] is None for one in decisions]
        verbs = [agent_verb(one) if own else choose(blend(one["p_agent"], one["p_know"], gamma))
                 for one, own in zip(decisions, alone)]
        assert page.texts(".bars .chosen th") == [f"{verb} ● chosen" for verb in verbs], gamma
    assert "later states are those of this run" in page.texts("#gamma-text")[0]
    page.slide(0.0)
    page.click("header a")
    until(lambda: page.all("#list")[0].is_displayed())
    counted = [viewer.overruled_at(one, 0.0) for one in decisions]
    assert str(sum(counted)) in page.texts("#games tbody td:last-child")
    page.click("#as-played")
    assert page.texts("#gamma-text")[0] == f"as played: wkm {gamma_of(sample('wkm'))}"


def test_what_is_looked_at_stays_in_sight_while_gamma_moves(browser, samples):
    page = browser.open(samples, f"#seen/{CD}/0")
    page.ask("scrollTo(0, 1500)")
    page.slide(0.2)
    assert page.ask("return scrollY") == 1500


def test_of_three_runs_two_are_chosen(browser, tmp_path):
    page = browser.open(page_of(tmp_path, *(SAMPLES / name for name in ("sft", "w_task", "wkm"))), f"#seen/{CD}/1")
    assert page.ask("return document.documentElement.scrollWidth") == 1280
    page.click("select[aria-label='left run'] option", "wkm")
    assert page.hash == f"#seen/{CD}/1/2-1"
    assert page.texts(".steps span") == ["wkm", "w_task"] and len(page.all("nav a")) == 40 + 6


def test_two_runs_stand_in_two_columns_from_the_step_where_they_part(browser, samples):
    page = browser.open(samples, f"#seen/{CD}/0")
    left, right = (steps(sample(run)) for run in ("w_task", "wkm"))
    same = [(a.observation, a.thought, a.action) == (b.observation, b.thought, b.action) for a, b in zip(left, right)]
    parting = same.index(False)
    assert page.texts("#parting") == [f"From step {parting} on they part"]
    for step in range(parting + 2):
        assert len(page.all(f"article[data-step='{step}']")) == 1 + (step >= parting)
    tops = [node.rect for node in page.all(f"article[data-step='{parting}']")]
    assert tops[0]["y"] == tops[1]["y"] and tops[0]["x"] < tops[1]["x"]


def test_text_of_models_is_never_html(browser, tmp_path):
    one = copy.deepcopy(sample("wkm"))
    one["meta"] |= {"task_id": "g", "task_type": HOSTILE, "terminate_reason": HOSTILE}
    for turn in one["conversations"][2:] + one["world_model_conversations"]:
        turn["value"] = turn["value"].replace("Action: ", f"{HOSTILE}\nAction: {HOSTILE} ") + HOSTILE
    one["conversations"][2]["value"] = f"Your task is to: {HOSTILE}"
    for decision in one["decisions"]:
        decision |= {"state_knowledge": HOSTILE, "next_actions": {HOSTILE: 3}}
    run = write_run(tmp_path / "run", one)
    page = browser.open(page_of(tmp_path, f"{HOSTILE}={run}", f"other={run}"))
    assert HOSTILE.strip() in page.texts("#games tbody button")[0]
    page.click("#games tbody a")
    until(lambda: page.all("article"))
    assert page.errors == [] and page.ask("return window.owned ?? null") is None and not page.all("img")
    assert len(page.all("body script")) == 3  # the list, one game, the code
    assert page.texts("article")[5].count("<script>window.owned = 1</script>") >= 4


def test_more_than_a_page_should_hold_lies_beside_it_and_is_read_by_game(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(viewer, "PAGE_BYTES", 10_000)
    path = page_of(tmp_path, SAMPLES / "w_task", SAMPLES / "wkm")
    assert sorted(file.name for file in (tmp_path / "viewer_games").iterdir()) == ["0.js", "1.js"]
    assert path.stat().st_size < 40_000
    page = browser.open(path)
    page.click("#games tbody a")
    until(lambda: page.all("article"))
    assert page.errors == []
    shutil.rmtree(tmp_path / "viewer_games")
    page.open(path, f"#seen/{CD}/0")
    until(lambda: "keep the folder viewer_games beside this page" in page.texts("#game")[0])


def test_280_long_episodes_are_a_small_page_that_opens_at_once(browser, tmp_path):
    episodes = []
    for number in range(140):
        one = sample("wkm")  # 40 steps, 39 decisions
        one["meta"]["task_id"] = f"game_{number}"
        episodes.append(one)
    runs = [write_run(tmp_path / name, *episodes) for name in ("a", "b")]
    path = page_of(tmp_path, *runs)
    assert path.stat().st_size < 15e6 and not (tmp_path / "viewer_games").exists()
    started = time.monotonic()
    page = browser.open(path)
    assert len(page.all("#games tbody tr")) == 140 and time.monotonic() - started < 2


@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_desk_and_on_a_phone_by_day_and_by_night(browser, samples, width, height, scheme):
    page = browser.open(samples)
    page.size(width, height, scheme)
    for link in ("", f"#seen/{CD}/30"):
        page.ask("location.hash = arguments[0]", link)
        until(lambda: page.all("article.current" if link else "#games tbody tr"))
        assert page.ask("return document.documentElement.scrollWidth") <= width
        if os.environ.get("SCREENSHOTS"):
            folder = Path(os.environ["SCREENSHOTS"])
            folder.mkdir(parents=True, exist_ok=True)
            page.chrome.save_screenshot(str(folder / f"viewer_{'game' if link else 'list'}_{width}_{scheme}.png"))
    front, back = page.ask("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    assert contrast(front, back) > 7
    for name in ("won", "lost", "invalid", "overruled", "note"):
        color = page.ask("const n = document.createElement('p'); n.className = arguments[0]; document.body.append(n);"
                         "const c = getComputedStyle(n).color; n.remove(); return c", name)
        assert contrast(color, back) > 4.5, name


def contrast(*colors: str) -> float:
    """WCAG's ratio of two "rgb(r, g, b)"."""
    def luminance(color: str) -> float:
        parts = [int(part) / 255 for part in color[4:-1].split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))

    dark, light = sorted(map(luminance, colors))
    return (light + 0.05) / (dark + 0.05)


def test_rewards_between_0_and_1_and_older_and_broken_episodes_are_shown(browser, tmp_path):
    refused = episode("refused", observation="No known action matches that input.", invalid_actions=1)
    told = {**episode("told", replies=("Action: a", "Action: b"), invalid_actions=1), "invalid_steps": [1]}
    untold = episode("untold", invalid_actions=1)  # nothing in the text tells which one
    run = write_run(
        tmp_path / "run", episode("half", reward=0.5), refused, told, untold,
        episode("broken", finished=False, error="ModelError: gone") | {"conversations": []}, {"meta": episode("bare")["meta"]},
    )  # fmt: skip
    page = browser.open(page_of(tmp_path, run))
    assert sorted(page.texts("#games tbody td:nth-child(4)")) == ["lost"] * 4 + ["lost (0.50)", "not finished"]
    assert not page.all("#gamma-box:not([hidden])")  # no planner, no gamma
    marked = {}
    for name in ("half", "refused", "told", "untold", "broken", "bare"):
        page.open(tmp_path / "viewer.html", f"#seen/{name}/0")
        assert page.errors == [] and page.all("#game h2")
        marked[name] = [node.get_attribute("data-step") for node in page.all("nav a.invalid")]
    assert (marked["refused"], marked["told"], marked["untold"], marked["half"]) == (["0"], ["1"], [], [])
    page.open(tmp_path / "viewer.html", "#seen/untold/0")
    assert "1 invalid actions; which ones, this older result does not tell." in page.texts("#game")[0]


@pytest.mark.parametrize("text, goal", [
    ("You are in a room.\nYour task is to: cool some pan.", "cool some pan."),
    ("Task Description:\nYour task is to boil water. First, focus on it.", "boil water. First, focus on it."),
    ("WebShop [SEP] Instruction: [SEP] Find me shoes, under 40 dollars [SEP] Search", "Find me shoes, under 40 dollars"),
    ("Something else.", "g"),
])  # fmt: skip
def test_a_game_is_called_after_its_goal(text, goal):
    one = episode()
    one["conversations"][2]["value"] = text
    assert viewer._goal(one) == goal


def test_runs_are_called_after_what_tells_their_folders_apart(tmp_path):
    a, b = (write_run(tmp_path / name / "alfworld_eval", episode()) for name in ("sft", "wkm"))
    assert [run.label for run in viewer.read_runs([str(a), str(b)])] == ["sft", "wkm"]
    assert [run.label for run in viewer.read_runs([f"gamma=1={a}", str(b)])][0] == "gamma=1"
    assert [run.label for run in viewer.read_runs([str(a)])] == ["alfworld_eval"]
    with pytest.raises(InputError, match='two runs are called "wkm": give LABEL=FOLDER'):
        viewer.read_runs([f"wkm={a}", str(b)])


@pytest.mark.parametrize("other, said", [({"reward": 1.0}, "result"), ({"replies": ("Action: go",)}, "way"), ({}, "no")])
def test_games_differ_in_their_result_or_in_the_way_to_it(tmp_path, other, said):
    runs = [write_run(tmp_path / "a", episode()), write_run(tmp_path / "b", episode(**other))]
    index = page_of(tmp_path, *runs).read_text().partition('id="index">')[2].partition("</script>")[0]
    assert [game["differ"] for game in json.loads(index)["games"]] == [said]


def test_the_command_says_where_the_page_is(tmp_path):
    def view(*arguments):
        command = [sys.executable, "-m", "eval_agent.report.viewer", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    done = view(SAMPLES / "wkm", "--output", tmp_path / "new" / "v.html")
    assert done.stdout == f"wrote {tmp_path}/new/v.html: 2 episodes of 1 run\n" and done.returncode == 0, done.stderr
    assert "://" not in (tmp_path / "new" / "v.html").read_text()
    for arguments, said in [
        ((tmp_path / "nowhere",), "nowhere: no such folder"),
        ((tmp_path,), "no episode in it"),
        ((SAMPLES / "wkm", SAMPLES / "wkm"), 'two runs are called "wkm"'),
    ]:
        done = view(*arguments, "--output_path", tmp_path / "v.html")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and said in done.stderr
    assert not (tmp_path / "v.html").exists()


def test_every_result_of_a_real_episode_is_in_its_steps():
    for one in read_episodes(SAMPLES / "wkm"):
        found = steps(one)
        assert len(found) == one["meta"]["steps"] and all(step.action for step in found)
        assert sum(step.invalid for step in found) == one["meta"]["invalid_actions"]
        assert gamma_of(one) in (0.4, None)
