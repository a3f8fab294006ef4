"""The offline "rules" for WebShop: the same functions as :mod:`eval_agent.rules.alfworld`.

They stand in for the language model of the paper where none is at hand. Deterministic; they know WebShop's pages
and nothing else.
"""

from eval_agent.files import file_digest
from eval_agent.rules import webshop_state
from eval_agent.rules.webshop_state import ITEM, RESULTS, START, TEXT, Listed, WebShopState
from eval_agent.trajectories.format import Step
from eval_agent.webshop import request as webshop_request
from eval_agent.webshop.request import Request, price_of, said_in

malformed = 0  # as of any synthesizer: answers to ask for again
_MOST_NAMED = 2  # words of a request that are named as an example
_MOST_WORDS = 20  # of a request or a title in state knowledge
_BUY = "buy now"
_SOURCES = (__file__, webshop_state.__file__, webshop_request.__file__)


def identity(gen: str) -> dict:
    """The rules as they are written now (see :class:`~eval_agent.knowledge.synthesis.Synthesizer`)."""
    return {"task": "webshop", "rules": [file_digest(module) for module in _SOURCES]}


def task_knowledge(chosen: list[Step], rejected: list[Step]) -> str:
    """Knowledge of one task from its expert (chosen) and explored (rejected) steps, on one line.

    Raises InputError where the task is not a page of WebShop's.
    """
    task = chosen[0].observation
    expert, explored = (WebShopState.after(task, _history(steps)) for steps in (chosen, rejected))
    mistakes = mistakes_of(expert, explored, rejected) if rejected else []
    return compose_task_knowledge(expert, mistakes)


def compose_task_knowledge(expert: WebShopState, mistakes: list[str]) -> str:
    """From the state in which the expert bought, and what one should not do."""
    request, product = expert.request, expert.product
    words = _some(expert.title_words(product)) if product else ""
    product_is = f"whose title says {words}" if words else "that fits"
    text = f"Task Knowledge: When you have to buy {_wanted(request)}, you should choose a product {product_is}"
    if request.cap is not None:
        text += f" and whose price is at most {_dollars(request.cap)}"
    text += "".join(f", and choose {value}" for value in expert.chosen) + "."
    if mistakes:
        text += f" You should not {' or '.join(mistakes[:2])}."
    return f"{text} The action workflows are: {_workflow(expert)}"


def _workflow(expert: WebShopState) -> str:
    steps = ["search for it", "click the product that fits"]
    steps += [f"click {name.capitalize()} and read it" for name in expert.texts]
    steps += [f"click {value}" for value in expert.chosen]
    return " ".join(f"{number}) {step}" for number, step in enumerate([*steps, "click Buy Now"], 1))


def mistakes_of(expert: WebShopState, explored: WebShopState, rejected: list[Step]) -> list[str]:
    """What the explored run bought wrong, did for nothing or tried in vain."""
    found = []
    bought = explored.product if rejected[-1].action.lower() == f"click[{_BUY}]" else None
    if bought is None:
        found.append("end without buying")
    elif expert.product and bought.asin != expert.product.asin:
        has = explored.title_words(bought)
        lacking = [word for word in expert.title_words(expert.product) if word not in has]
        if not explored.fits_price(bought):
            found.append(f"buy one that costs {_price(bought)}")
        elif lacking:
            found.append(f"buy one that lacks {_some(lacking)}")
    if bought:
        found += [f"buy before you choose {value}" for value in expert.chosen if value not in explored.chosen]
    actions = [(step.action, after.observation) for step, after in zip(rejected, rejected[1:])]
    state = WebShopState.at_start(rejected[0].observation)
    for action, observation in actions:
        state.update(action, observation)
        if state.failed:
            return [*found, f'try impossible actions like "{state.failed}"']
    return found


def _history(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.action, after.observation) for step, after in zip(steps, steps[1:])]


def state_knowledge(task: str, history: list[tuple[str, str]]) -> str:
    """What is known after ``history`` of (action, observation), on one line of at most some 80 words.

    Raises InputError where the task is not a page of WebShop's.
    """
    return state_knowledge_in(WebShopState.after(task, history))


def state_knowledge_in(state: WebShopState) -> str:
    """As :func:`state_knowledge`, from the state itself."""
    parts = [f"I have to buy {_wanted(state.request, _MOST_WORDS)}.", *_where(state)]
    if state.failed:
        parts.append(f'My last action "{state.failed}" was not possible.')
    return "State Knowledge: " + " ".join(" ".join(parts).split())


def _where(state: WebShopState) -> list[str]:
    product = state.product
    if state.page == START:
        return ["I am on the start page."]
    if state.page == RESULTS:
        looked = f"I have looked at {_several([name.upper() for name in state.opened])}." if state.opened else ""
        return [f"I am on page {state.number} of the results.", looked]
    if state.page not in (ITEM, TEXT) or product is None:
        return ["I have bought."]
    reading = f"I am reading the {state.text_page} of" if state.page == TEXT else "I am on the page of"
    judged = "" if state.request.cap is None else ", " + _judged(state, product)
    parts = [f"{reading} {_short(product.title, _MOST_WORDS)}. It costs {_price(product)}{judged}."]
    parts.append(f"Chosen: {_several(state.chosen)}." if state.chosen else "Nothing is chosen.")
    if state.missing_values:
        parts.append(f"Not chosen yet: {_several(state.missing_values)}.")
    if state.unshown_words:
        parts.append(f"The page does not say {_some(state.unshown_words)}.")
    return parts


def _judged(state: WebShopState, product: Listed) -> str:
    return "within the limit" if state.fits_price(product) else "above the limit"


def thought(task: str, history: list[tuple[str, str]], action: str) -> str:
    """One sentence or more for ``action`` after ``history`` of (action, observation), without "Thought:".

    Raises InputError where the task is not a page of WebShop's.
    """
    return thought_in(WebShopState.after(task, history), action)


def thought_in(state: WebShopState, action: str) -> str:
    """As :func:`thought`, from the state of knowledge: what the page says of the request, then what is done and why.

    It names what the action names, after the same verb.
    """
    before = "That was not possible. " if state.failed else ""
    verb = action.partition("[")[0]
    named = _button(action)
    button = named.lower()
    if verb == "search":
        return before + _why_search(state, named)
    if button in state.seen and state.page == RESULTS:
        return before + _why_open(state, state.seen[button])
    if state.product is None:
        return f"{before}{_why_turn(state, button)}I click {named}."
    if button in state.values:
        group = _group(state, button) if button in state.missing_values else "nearest"
        return f"{before}The {group} is {named}. I click {named}."
    return f"{before}{_why_on_item(state, state.product, button)}I click {named}."


def _why_search(state: WebShopState, query: str) -> str:
    if query in state.searched:
        return f"I search for {query} again."
    if state.searched:
        return f"I have not found what fits. I search for {query}."
    cap = "" if state.request.cap is None else f" It may cost {_dollars(state.request.cap)} dollars."
    return f"I search for {query}.{cap}"


def _why_open(state: WebShopState, choice: Listed) -> str:
    words = state.title_words(choice)
    says = f"says {words[0]}" if words else "may fit"
    judged = "" if state.request.cap is None else f", {_judged(state, choice)}"
    return f"{choice.asin} {says}{judged}. I click {choice.asin}."


def _group(state: WebShopState, value: str) -> str:
    return next((name for name, values in state.options.items() if value in values), "") or "choice"


def _why_turn(state: WebShopState, button: str) -> str:
    """A reason for a button of a page without product."""
    if button == "next >":
        return f"No product on page {state.number} fits. "
    return "I have not found what fits. " if button == "back to search" else ""


def _why_on_item(state: WebShopState, product: Listed, button: str) -> str:
    """A reason for a button of a product's page that is no option."""
    unshown = next(iter(state.unshown_words), "")
    if button in ("description", "features", "reviews"):
        return f"The page does not say {unshown}. " if unshown else ""
    if button in ("< prev", "back to search"):
        return _why_back(state, product, unshown)
    if button != _BUY:
        return ""
    nothing = "Nothing is chosen. " if state.values else "There is nothing to choose. "
    chosen = f"Chosen: {_several(state.chosen)}. " if state.chosen else nothing
    judged = "" if state.request.cap is None else f", {_judged(state, product)}"
    return f"{chosen}It costs {_price(product)}{judged}. "


def _why_back(state: WebShopState, product: Listed, unshown: str) -> str:
    """A reason to leave a product's page, or the texts of its product."""
    if state.page == TEXT:
        before = said_in(state.request.words, " ".join([product.title, *state.values]))
        read = said_in(state.request.words, state.texts[state.text_page])
        found = [word for word in read if word not in before]
        return f"The {state.text_page} say {found[0]}. " if found else "That says nothing new. "
    if not state.fits_price(product):
        return f"It costs {_price(product)}, above the limit. "
    return f"The page does not say {unshown}. " if unshown else ""


def _wanted(request: Request, most: int | None = None) -> str:
    return _short(request.query, most) + ("" if request.cap is None else f", for at most {_dollars(request.cap)} dollars")


def _short(text: str, most: int | None) -> str:
    words = text.split()
    return text if most is None or len(words) <= most else " ".join(words[:most]) + " and so on"


def _price(product: Listed) -> str:
    price = price_of(product.tag)
    return "nothing" if price is None else f"{price}"


def _dollars(cap: float) -> str:
    return f"{cap:.2f}"


def _button(action: str) -> str:
    return action.partition("[")[2].rpartition("]")[0]


def _some(words: list[str]) -> str:
    return _several(words[:_MOST_NAMED])


def _several(names: list[str]) -> str:
    """"a, b and c" of the different names."""
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""
