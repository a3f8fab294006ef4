"""Pages and actions: the grammar, every page of a small shop, and the recorded visits to the published one."""

import pytest

from eval_agent.webshop.check import episode_fault, product_files, recordings, seeded
from eval_agent.webshop.data import ready_store
from eval_agent.webshop.goals import Goal, read_goal
from eval_agent.webshop.pages import Session, page, parse_action
from eval_agent.webshop.store import Shop

GOAL = read_goal({
    "asin": "B00MUG0001", "instruction": "a mug", "instruction_text": "a mug, and price lower than 30.00 dollars",
    "attributes": ["dishwasher safe"], "options": {"color": "blue | white"}, "price_upper": 30.0,
    "query": "coffee mugs", "name": "Stoneware Coffee Mug", "category": "garden",
    "product_category": "Home \u203a Kitchen \u203a Mugs",
}, "test")
ASKED = "Instruction: [SEP] a mug, and price lower than 30.00 dollars [SEP] "
RESULTS = ("Back to Search [SEP] Page 1 (Total results: 2) [SEP] Next > [SEP] B00MUG0001 [SEP] Stoneware Coffee Mug "
           "[SEP] $10.0 to $20.0 [SEP] B00MUG0002 [SEP] Enamel Camping Mug [SEP] $12.5")
ITEM = ("Back to Search [SEP] < Prev [SEP] color [SEP] dark red [SEP] blue | white [SEP] size [SEP] 12 oz [SEP] "
        "Stoneware Coffee Mug [SEP] Price: $10.0 to $20.0 [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] "
        "Reviews [SEP] Buy Now")


@pytest.fixture
def session(small_shop) -> Session:
    return Session(small_shop.shop, GOAL)


def play(session: Session, *actions: str):
    """The turn of the last action; all of them are possible."""
    turns = [session.step(action) for action in actions]
    assert all(turn.valid for turn in turns)
    return turns[-1]


@pytest.mark.parametrize("action, parsed", [
    ("search[Red Shoes]", ("search", "red shoes")),
    ("click[back to search] please", ("click", "back to search")),
    ("search[shoes] and [more]", ("search[shoes] and ", "more")),
    ("search[a[b]]", ("search[a", "b]")),
    ("click[features]\nclick[buy now]", ("click", "features")),
    ("search[two\nlines]", None), ("click[]", None), ("search[", None), ("", None), ("buy now", None),
    (" search[x]", (" search", "x")), ("Search[x]", ("Search", "x")), ("click [x]", ("click ", "x")),
    ("click[ Buy Now ]", ("click", " buy now ")),
])
def test_only_the_beginning_of_an_action_counts(action, parsed):
    assert parse_action(action) == parsed


@pytest.mark.parametrize("parts, text", [
    (("a", "", " b "), "a [SEP] b"), (("a", " ", "b"), "a [SEP]  [SEP] b"), (("a", " \n", "b"), "a [SEP] b"),
    (("a", "\xa0", "b"), "a [SEP]  [SEP] b"),
])
def test_empty_parts_of_a_page(parts, text):
    assert page(*parts) == text


def test_the_pages(session):
    assert session.reset() == f"WebShop [SEP] {ASKED}Search"
    assert play(session, "search[mug]").text == ASKED + RESULTS
    assert session.clickable == ["back to search", "next >", "b00mug0001", "b00mug0002"]
    assert play(session, "click[b00mug0001]").text == ASKED + ITEM
    assert play(session, "click[Dark Red]").text == ASKED + ITEM
    assert play(session, "click[Description]").text == (
        f"{ASKED}Back to Search [SEP] < Prev [SEP] A mug for coffee.\nHolds 12 oz.")
    assert play(session, "click[< Prev]", "click[Features]").text == (
        f"{ASKED}Back to Search [SEP] < Prev [SEP] dishwasher safe [SEP] ")
    assert play(session, "click[< prev]", "click[reviews]").text == f"{ASKED}Back to Search [SEP] < Prev"
    assert session.chosen == {"color": "dark red"}  # kept on the sub pages
    assert play(session, "click[< prev]", "click[blue | white]").text == ASKED + ITEM
    assert session.chosen == {"color": "blue | white"}
    turn = play(session, "click[BUY NOW]")
    assert turn.done and turn.reward == 1.0
    assert 'options [SEP] {"color": "blue | white"} [SEP] attrs' in turn.text
    assert "Your score (min 0.0, max 1.0) [SEP] 1.0 [SEP] Reward Details [SEP] None" in turn.text
    assert turn.info["asin"] == "B00MUG0001" and turn.info["r_option"] == 1.0 and turn.info["nouns"] == "rule"


def test_results_go_on_without_end(session):
    play(session, "search[mug]", "click[next >]")
    assert session.text == f"{ASKED}Back to Search [SEP] Page 2 (Total results: 2) [SEP] < Prev [SEP] Next >"
    assert not session.step("click[b00mug0001]").valid  # not on this page
    assert play(session, "click[next >]", "click[< prev]", "click[< prev]").text == ASKED + RESULTS
    assert not session.step("click[< prev]").valid


def test_leaving_a_product_forgets_its_options(session):
    play(session, "search[mug]", "click[B00MUG0001]", "click[12 oz]", "click[< prev]", "click[B00MUG0001]")
    assert session.chosen == {}
    play(session, "click[12 oz]", "search[lamp]")
    assert session.chosen == {} and "B00LAMP004" in session.text
    assert play(session, "click[back to search]").text == session.reset()


@pytest.mark.parametrize("action", [
    "click[search]", "click[ buy now ]", "click[buy now", "Click[buy now]", "look around", "", "click[color]",
    "search[]",
])
def test_what_is_not_possible_shows_the_same_page(session, action):
    before = play(session, "search[mug]", "click[B00MUG0001]").text
    turn = session.step(action)
    assert (turn.text, turn.reward, turn.done, turn.valid) == (before, 0.0, False, False)


def test_nothing_happens_after_the_purchase(session):
    done = play(session, "search[mug]", "click[B00MUG0002]", "click[buy now]")
    again = session.step("search[mug]")
    assert (again.text, again.reward, again.done, again.valid) == (done.text, 0.0, True, False)
    assert "WebShop" in session.reset() and session.step("search[mug]").valid


@pytest.mark.parametrize("query, total", [("   ", 0), ("<r>", 0), ("<a> mug", 2)])
def test_the_debug_searches_of_the_release_are_ordinary_text(session, query, total):
    assert f"(Total results: {total})" in play(session, f"search[{query}]").text


def test_recorded_episodes(webshop_data):
    store = ready_store(*product_files(str(webshop_data)))
    prices, goals = seeded(Shop.open(store).products())
    shop = Shop.open(store, prices)
    cases = list(recordings(webshop_data, "episodes"))
    if not cases:
        pytest.skip(f"no episodes at {webshop_data}")
    assert [fault for case in cases if (fault := episode_fault(shop, goals, case))] == []
    wrong = {**cases[0], "steps": [{**cases[0]["steps"][0], "observation": "?"}]}
    assert "step 0" in episode_fault(shop, goals, wrong)
    assert "outside the set of 6910" in episode_fault(shop, goals, {**cases[0], "session": 6_910})
    assert isinstance(goals[0], Goal)
