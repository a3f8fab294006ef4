"""Knowledge and thoughts by rule in WebShop: true of the pages of a shop with two tea bags and a mug."""

import pytest

from eval_agent.errors import InputError
from eval_agent.files import write_json
from eval_agent.rules.webshop import state_knowledge, task_knowledge, thought
from eval_agent.trajectories.format import Step
from eval_agent.webshop import Session, Shop, build_store
from eval_agent.webshop.goals import read_goal

REQUEST = "i need caffeine free tea bags for relaxation in mint and pack of 2, and price lower than 20.00 dollars"


def record(asin, name, price, options, features=()):
    return {
        "asin": asin, "name": name, "full_description": "", "small_description": list(features), "pricing": price,
        "customization_options": {group: [{"value": value} for value in values] for group, values in options.items()},
        "product_category": "Grocery › Tea › Bags", "category": "grocery", "query": "tea bags",
    }


PRODUCTS = [
    record("W0DEARONE1", "Caffeine Free Tea Bags, Box", "$45.00", {"flavor name": ["mint", "rose"]}),
    record("W0SWEETTEA", "Sweet Tea Bags, Box", "$9.00", {"flavor name": ["mint", "rose"]}),
    record("W0RIGHTONE", "Caffeine Free Tea Bags, Paper Box", "$12.50",
           {"flavor name": ["mint", "rose"], "size": ["pack of 1", "pack of 2"]}, ["Made for relaxation."]),
]
GOAL = read_goal({
    "asin": "W0RIGHTONE", "instruction_text": REQUEST, "attributes": ["caffeine free"], "options": ["mint", "pack of 2"],
    "query": "tea bags", "name": PRODUCTS[2]["name"], "product_category": "Grocery › Tea › Bags", "category": "grocery",
}, "goal")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_json(folder / "products.json", PRODUCTS)
    build_store(folder / "products.json", None, folder / "store", nouns="rule", num_workers=1)
    return Shop.open(folder / "store")


@pytest.fixture
def play(shop):
    """``play(*actions)``: the task and the history of (action, page)."""
    def played(*actions):
        session = Session(shop, GOAL)
        return session.reset(), [(action, session.step(action).text) for action in actions]

    return played


SEARCH = "search[caffeine free tea bags for relaxation in mint and pack of 2]"
OPEN = "click[W0RIGHTONE]"


def steps(task, history, last):
    """A trajectory's steps, the last action without an answer."""
    seen = [task, *(page for _, page in history)]
    return [Step(page, action, action, None) for page, action in zip(seen, [*(action for action, _ in history), last])]


def test_the_first_thought_says_what_is_asked(play):
    task, history = play()
    assert thought(task, history, SEARCH) == (
        "I search for caffeine free tea bags for relaxation in mint and pack of 2. It may cost 20.00 dollars."
    )
    assert thought(*play(SEARCH, "click[Back to Search]"), SEARCH) == (
        "I search for caffeine free tea bags for relaxation in mint and pack of 2 again."
    )
    assert thought(*play(SEARCH, "click[Back to Search]"), "search[mint tea]") == (
        "I have not found what fits. I search for mint tea."
    )


def test_a_product_is_opened_for_a_word_of_its_title_and_its_price(play):
    assert thought(*play(SEARCH), OPEN) == "W0RIGHTONE says caffeine, within the limit. I click W0RIGHTONE."
    assert thought(*play(SEARCH), "click[W0DEARONE1]") == "W0DEARONE1 says caffeine, above the limit. I click W0DEARONE1."


def test_options_are_taken_one_by_one(play):
    task, history = play(SEARCH, OPEN)
    assert thought(task, history, "click[mint]") == "The flavor name is mint. I click mint."
    assert thought(task, history, "click[rose]") == "The nearest is rose. I click rose."
    assert thought(*play(SEARCH, OPEN), "click[Buy Now]") == (
        "Nothing is chosen. It costs 12.5, within the limit. I click Buy Now."
    )
    assert thought(*play(SEARCH, OPEN, "click[mint]", "click[pack of 2]"), "click[Buy Now]") == (
        "Chosen: mint and pack of 2. It costs 12.5, within the limit. I click Buy Now."
    )


def test_what_the_title_does_not_say_is_looked_up(play):
    assert thought(*play(SEARCH, OPEN), "click[Features]") == "The page does not say relaxation. I click Features."
    task, history = play(SEARCH, OPEN, "click[Features]")
    assert thought(task, history, "click[< Prev]") == "The features say relaxation. I click < Prev."
    task, history = play(SEARCH, OPEN, "click[Description]")
    assert thought(task, history, "click[< Prev]") == "That says nothing new. I click < Prev."


@pytest.mark.parametrize("actions, action", [
    ((), SEARCH), ((SEARCH,), OPEN), ((SEARCH,), "click[Next >]"), ((SEARCH,), "click[Back to Search]"),
    ((SEARCH, OPEN), "click[mint]"), ((SEARCH, OPEN), "click[Description]"), ((SEARCH, OPEN), "click[blue]"),
    ((SEARCH, OPEN, "click[Reviews]"), "click[< Prev]"), ((SEARCH, OPEN), "click[Buy Now]"), ((), "click[Buy Now]"),
])
def test_a_thought_names_what_the_action_names_after_the_same_verb(play, actions, action):
    verb, _, named = action[:-1].partition("[")
    assert f"I {verb}{' for' if verb == 'search' else ''} {named}" in thought(*play(*actions), action)


def test_a_wrong_product_is_left_for_a_reason(play):
    assert thought(*play(SEARCH, "click[W0DEARONE1]"), "click[< Prev]") == "It costs 45.0, above the limit. I click < Prev."
    assert thought(*play(SEARCH, "click[W0SWEETTEA]"), "click[< Prev]") == "The page does not say caffeine. I click < Prev."


@pytest.mark.parametrize("actions, says", [
    ([], "I am on the start page."),
    ([SEARCH], "I am on page 1 of the results."),
    ([SEARCH, "click[Next >]"], "I am on page 2 of the results."),
    ([SEARCH, OPEN, "click[mint]"], "Chosen: mint. Not chosen yet: pack of 2. The page does not say relaxation."),
    ([SEARCH, OPEN, "click[rose]", "click[mint]"], "Chosen: mint. Not chosen yet: pack of 2."),
    ([SEARCH, OPEN, "click[Features]"], "I am reading the features of Caffeine Free Tea Bags, Paper Box. It costs 12.5, "
                                        "within the limit. Nothing is chosen. Not chosen yet: mint and pack of 2."),
    ([SEARCH, OPEN, "click[mint]", "click[Features]", "click[< Prev]"], "Chosen: mint. Not chosen yet: pack of 2."),
    ([SEARCH, OPEN, "click[mint]", "click[< Prev]", OPEN], "Nothing is chosen."),
    ([SEARCH, "click[W0DEARONE1]"], "It costs 45.0, above the limit. Nothing is chosen. Not chosen yet: mint."),
    ([SEARCH, "click[W0DEARONE1]", "click[< Prev]"], "I have looked at W0DEARONE1."),
    ([SEARCH, OPEN, "click[blue]"], 'My last action "click[blue]" was not possible.'),
    (["click[Buy Now]"], 'I am on the start page. My last action "click[Buy Now]" was not possible.'),
    (["look around"], 'My last action "look around" was not possible.'),
    ([SEARCH, OPEN, "click[mint]", "click[Buy Now]"], "I have bought."),
])
def test_state_knowledge_says_page_options_price_and_what_is_missing(play, actions, says):
    known = state_knowledge(*play(*actions))
    assert known.startswith("State Knowledge: I have to buy caffeine free tea bags") and says in known
    assert "\n" not in known


def test_state_knowledge_s_failed_action_is_the_env_s_invalid_one(shop):
    """Whatever is tried, the text tells what the env's rule tells."""
    session = Session(shop, GOAL)
    task, history = session.reset(), []
    for action in (SEARCH, "click[W0NOTHING1]", OPEN, "click[size]", "click[MINT]", "click[ mint ]", "Click[mint]",
                   "click[Reviews]", "click[mint]", "click[< prev]", "click[Next >]", "search[]", "search[tea]"):
        turn = session.step(action)
        history.append((action, turn.text))
        if action != "click[size]":  # the name of a group looks like a button in the text
            assert ("was not possible" in state_knowledge(task, history)) == (not turn.valid), action


def test_task_knowledge_says_what_the_explored_run_bought_wrong(play):
    expert = steps(*play(SEARCH, OPEN, "click[mint]", "click[pack of 2]"), "click[Buy Now]")
    known = task_knowledge(expert, steps(*play(SEARCH, "click[W0DEARONE1]"), "click[Buy Now]"))
    assert known.startswith("Task Knowledge: When you have to buy caffeine free tea bags for relaxation in mint")
    assert "whose title says caffeine and free and whose price is at most 20.00" in known
    assert "You should not buy one that costs 45.0 or buy before you choose mint." in known
    assert known.endswith("1) search for it 2) click the product that fits 3) click mint 4) click pack of 2 5) click Buy Now")
    assert "buy one that lacks caffeine and free" in task_knowledge(
        expert, steps(*play(SEARCH, "click[W0SWEETTEA]", "click[mint]"), "click[Buy Now]"))
    assert "should not end without buying" in task_knowledge(expert, steps(*play(SEARCH, OPEN), "click[mint]"))
    assert "should not buy before you choose pack of 2." in task_knowledge(
        expert, steps(*play(SEARCH, OPEN, "click[mint]"), "click[Buy Now]"))
    assert "should not" not in task_knowledge(expert, [])


def test_another_benchmark_s_text_is_refused():
    with pytest.raises(InputError, match="not a page of WebShop"):
        state_knowledge("Your task is to: put a mug in shelf.", [])
