"""The reward of a purchase, equal to the published environment's to the last bit."""

from dataclasses import asdict, dataclass

from thefuzz import fuzz

from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.goals import Goal

_FUZZY = 85  # a ratio above it is a match
COLOURS = tuple(
    "alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel "
    "camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry "
    "cream crystal dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey "
    "heather indigo ivory ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight "
    "mint mocha multicolor mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow "
    "red rose royal rust sand sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal "
    "tiger turquoise violet walnut wheat white wine yellow".split()
)


@dataclass(frozen=True)
class RewardParts:
    """r_type (A + O + P) / (attributes + options + 1), and its parts; those of a goal without options are None."""

    reward: float
    r_type: float
    r_att: float
    r_option: float | None
    r_price: bool
    num_attr_matches: int
    num_option_matches: int
    title_score: float
    query_match: bool
    category_match: bool
    w_att: float
    w_option: float | None
    w_price: float

    def to_json(self) -> dict:
        return asdict(self)


def reward(goal: Goal, product: Product, price: float, chosen_options: dict[str, str],
           goal_nouns: list[str]) -> RewardParts:
    """Of buying ``product`` at ``price`` with ``chosen_options`` (group -> value).

    ``goal_nouns`` are those of the goal's name, from the same source as ``product.nouns``.
    """
    n_attributes, n_options = len(goal.attributes), len(goal.options)
    attributes = sum(_has_attribute(product, wanted) for wanted in goal.attributes)
    options = matching_options(list(chosen_options.values()), wanted_options(goal))
    in_price = price <= goal.price_upper
    parts = n_attributes + n_options + 1
    query_match = product.query == goal.query
    category_match = same_category(product.product_category, goal.product_category)
    title_score = title_overlap(goal_nouns, product.nouns)
    r_type = type_reward(query_match or category_match, title_score)
    return RewardParts(
        reward=(attributes + options + in_price) / parts * r_type,
        r_type=r_type,
        r_att=attributes / n_attributes if n_attributes else 0.0,
        r_option=options / n_options if n_options else None,
        r_price=in_price,
        num_attr_matches=attributes,
        num_option_matches=options,
        title_score=title_score,
        query_match=query_match,
        category_match=category_match,
        w_att=n_attributes / parts,
        w_option=n_options / parts if n_options else None,
        w_price=1 / parts,
    )


def type_reward(same_kind: bool, title_score: float) -> float:
    """1 or 0.5 for the kind of product; a title with (nearly) none of the goal's nouns overrides it."""
    if title_score < 0.1:
        return 0.1 if title_score > 0 else 0.0
    return 1.0 if same_kind or title_score > 0.2 else 0.5


def title_overlap(goal_nouns: list[str], product_nouns: list[str]) -> float:
    """Common different nouns per noun of the goal; 0.2 where the goal has none."""
    if not goal_nouns:
        return 0.2
    return len(set(goal_nouns) & set(product_nouns)) / len(goal_nouns)


def same_category(one: str, other: str) -> bool:
    """Whether two category paths have at least two steps in common."""
    steps, others = ({step.strip() for step in path.split("\u203a")} for path in (one, other))
    return len(steps & others) >= 2


def _has_attribute(product: Product, wanted: str) -> bool:
    if any(_alike(wanted, attribute) for attribute in product.attributes):
        return True
    texts = (product.title, " ".join(product.bullets), product.description)
    return any(wanted in text.lower() for text in texts)


def wanted_options(goal: Goal) -> list:
    """What is compared: the values of a list, or the (name, value) pairs of a mapping."""
    return list(goal.options.items()) if isinstance(goal.options, dict) else list(goal.options)


def matching_options(chosen: list[str], wanted: list) -> int:
    """How many of the ``wanted`` options a chosen value is like."""
    values = [_colour(value) for value in chosen]
    return sum(any(_alike(value, _colour(option)) for value in values) for option in wanted)


def _colour(option: str | tuple[str, str]) -> str | tuple[str, str]:
    """The first colour that is in ``option``, else the option; in a pair it has to be a whole member."""
    return next((colour for colour in COLOURS if colour in option), option)


def _alike(one: object, other: object) -> bool:
    return fuzz.token_set_ratio(one, other) > _FUZZY
