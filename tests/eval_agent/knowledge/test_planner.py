"""Eq. 11-13 against numbers worked out by hand."""

import math

import pytest

from eval_agent.agents.base import CandidateScore
from eval_agent.errors import InputError
from eval_agent.knowledge.planner import agent_distribution, blend, choose, decide, knowledge_distribution

VERBS = ["go", "take", "clean", "close"]


def scored(*rows):
    """CandidateScore by verb from rows (verb, first token, its probability[, the whole verb's])."""
    def log(p):
        return math.log(p) if p else -math.inf

    return {verb: CandidateScore(token, log(p), log(whole[0] if whole else p)) for verb, token, p, *whole in rows}


def test_p_agent_is_the_softmax_over_the_action_set():
    # probabilities 0.4, 0.2, 0.1, 0.1 of the whole vocabulary: 0.8 of it lies on A_u
    scores = scored(*((verb, n, p) for n, (verb, p) in enumerate(zip(VERBS, [0.4, 0.2, 0.1, 0.1]))))
    assert agent_distribution(scores) == pytest.approx(
        {"go": 0.5, "take": 0.25, "clean": 0.125, "close": 0.125}
    )


def test_p_agent_of_very_unlikely_verbs_does_not_underflow():
    unlikely = {"go": CandidateScore(1, -1000.0, -1000.0), "take": CandidateScore(2, -1000 - math.log(3), -2000.0)}
    assert agent_distribution(unlikely) == pytest.approx({"go": 0.75, "take": 0.25})
    assert agent_distribution(scored(("go", 1, 0), ("take", 2, 0))) == {"go": 0.5, "take": 0.5}


def test_a_temperature_flattens_p_agent_and_lets_state_knowledge_overrule_it():
    scores = scored(("go", 1, 0.9801), ("take", 2, 0.0081), ("clean", 3, 0.0009), ("close", 4, 0.0009))
    # square roots 0.99, 0.09, 0.03 and 0.03, divided by their sum
    tempered = decide(scores, ["take mug 1"], gamma=0.7, temperature=2)
    assert tempered.p_agent == pytest.approx({"go": 0.99 / 1.14, "take": 0.09 / 1.14, "clean": 0.03 / 1.14, "close": 0.03 / 1.14})
    assert (decide(scores, ["take mug 1"], gamma=0.5).verb, decide(scores, ["take mug 1"], gamma=0.5, temperature=2).verb) == (
        "take", "take")
    assert decide(scores, ["take mug 1"], gamma=0.55).verb == "go"
    assert decide(scores, ["take mug 1"], gamma=0.55, temperature=4).verb == "take"


# "clean" and "close" share a first token of 0.45, the likeliest one
SHARING = scored(("go", 1, 0.4), ("take", 2, 0.15), ("clean", 3, 0.45, 0.15), ("close", 3, 0.45, 0.30))


def test_a_shared_first_token_counts_once_and_is_divided_by_the_whole_verbs():
    assert agent_distribution(SHARING) == pytest.approx({"go": 0.4, "take": 0.15, "clean": 0.15, "close": 0.3})
    unknown = scored(("go", 1, 0.4), ("clean", 3, 0.6), ("close", 3, 0.6))  # an endpoint that scores first tokens only
    assert agent_distribution(unknown) == pytest.approx({"go": 0.4, "clean": 0.3, "close": 0.3})


def test_with_gamma_1_the_planner_is_the_agent_itself():
    # which writes the shared token next, though "go" is more likely than either of its verbs
    only_go = ["go to bed 1"]
    assert decide(SHARING, only_go, 1.0).verb == decide(SHARING, [], 0.4).verb == "close"
    assert decide(SHARING, only_go, 1.0).agent_verb == decide(SHARING, only_go, 0.0).agent_verb == "close"
    assert decide(SHARING, only_go, 0.0).verb == "go"


def test_the_agent_chooses_among_numbers_that_share_a_token():
    numbers = scored(*((str(n), 9, 0.9, 0.5 if n == 3 else 0.04) for n in range(10)), ("look", 1, 0.1))
    assert decide(numbers, [], 0.7).verb == "3"
    assert sum(decide(numbers, [], 0.7).p_agent[str(n)] for n in range(10)) == pytest.approx(0.9)


def test_p_know_counts_next_actions_by_verb():
    retrieved = ["go to shelf 1", "go to bed 1", "take mug 1 from shelf 1", "close safe 1"]
    assert knowledge_distribution(retrieved, VERBS) == {"go": 0.5, "take": 0.25, "clean": 0, "close": 0.25}


def test_p_know_leaves_out_actions_that_cannot_be_chosen():
    assert knowledge_distribution(["go to bed 1", "dance", "goad 1"], VERBS)["go"] == 1
    assert knowledge_distribution(["dance"], VERBS) is None
    assert knowledge_distribution([], VERBS) is None


def test_p_know_of_other_benchmarks_actions():
    assert knowledge_distribution(["search", "click[Buy Now]"], ["search", "click"]) == {
        "search": 0.5,
        "click": 0.5,
    }
    assert knowledge_distribution(["pick up pot", "pick"], ["pick", "pick up"]) == {
        "pick": 0.5,
        "pick up": 0.5,
    }


def test_blend_weighs_the_agent_with_gamma():
    p_agent = {"go": 0.5, "take": 0.3, "clean": 0.2}
    p_know = {"go": 0.0, "take": 0.25, "clean": 0.75}
    mixed = blend(p_agent, p_know, 0.4)
    assert mixed == pytest.approx({"go": 0.2, "take": 0.27, "clean": 0.53})
    assert choose(mixed) == "clean"


def test_gamma_1_and_an_empty_neighbourhood_leave_p_agent_as_it_is():
    p_agent = {"go": 0.6, "take": 0.4}
    assert blend(p_agent, {"go": 0.0, "take": 1.0}, 1.0) == p_agent
    assert blend(p_agent, None, 0.0) == p_agent
    assert choose(blend(p_agent, {"go": 0.0, "take": 1.0}, 0.0)) == "take"


def test_ties_go_to_the_first_verb_of_the_action_set():
    assert choose({"take": 0.5, "go": 0.5}) == "take"


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_gamma_outside_its_range_is_refused(gamma):
    with pytest.raises(InputError, match="gamma is"):
        blend({"go": 1.0}, {"go": 1.0}, gamma)
