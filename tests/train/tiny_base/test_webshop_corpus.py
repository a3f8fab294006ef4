"""The WebShop base's text: episodes of demo shops, words exchanged, wrong turns that nobody learns from."""

import random
import re

import pytest

from eval_agent.rules.webshop_state import RESULTS, WebShopState
from eval_agent.trajectories.format import action_of
from train.tiny_base.corpus import TextMix
from train.tiny_base.webshop_corpus import WebShopCorpus
from train.tiny_base.webshop_markets import open_markets
from train.tiny_base.webshop_words import SYLLABLES


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> WebShopCorpus:
    return WebShopCorpus(open_markets(2, tmp_path_factory.mktemp("shops")), "You act.", "You know.")


@pytest.fixture(scope="module")
def episodes(corpus):
    return [corpus.episode(random.Random(seed), informed=False, as_world_model=True) for seed in range(60)]


def test_every_episode_searches_for_the_request_and_ends_with_buying(episodes):
    for task, knowledge, turns in episodes:
        learnt = [action_of(turn.reply) for turn in turns if turn.learn]
        query = learnt[0].removeprefix("search[").removesuffix("]")
        assert query in task and query in knowledge and learnt[-1] == "click[Buy Now]"
        assert turns[-1].observation.startswith("Thank you for shopping with us!")


def test_results_are_in_many_orders_and_the_thoughts_are_true_of_them(episodes):
    places = set()
    for task, _, turns in episodes:
        state = WebShopState.at_start(task)
        for turn in turns[:-1]:
            opened = re.fullmatch(r"click\[(W\d{9})\]", action_of(turn.reply))
            if opened and turn.learn and state.page == RESULTS:
                names = [product.asin for product in state.listed]
                places.add(names.index(opened[1]))
                assert [name for name in names if name in turn.reply.split("Action:")[0]] == [opened[1]]
            state.update(action_of(turn.reply), turn.observation)
    assert len(places) > 4


def test_shortened_results_still_list_what_is_bought(corpus):
    corpus.begin_stage(TextMix(shortened=1.0))
    episodes = [corpus.episode(random.Random(seed), informed=False, as_world_model=True) for seed in range(60)]
    corpus.begin_stage(TextMix())
    for _, _, turns in episodes:
        results = [turn.observation for turn in turns if "Next >" in turn.observation]
        assert all(len(set(re.findall(r"W\d{9}", page))) <= 4 for page in results)
        bought = [action for action in (action_of(turn.reply) for turn in turns if turn.learn) if "[W" in action][-1]
        assert any(bought[6:-1] in page for page in results)


def test_wrong_turns_are_not_learnt_and_are_found_out_of(episodes):
    wrong = [turn for _, _, turns in episodes for turn in turns if not turn.learn]
    assert 10 < len(wrong) < sum(len(turns) for _, _, turns in episodes) / 3


def test_words_are_exchanged_wherever_they_stand(episodes):
    """An invented word of the request is in a title, an option or a text of the product, too."""
    said = re.compile(rf"\b(?:{'|'.join(SYLLABLES)}){{2,3}}\b", re.IGNORECASE)
    invented = [(set(said.findall(task)), turns) for task, _, turns in episodes if said.search(task)]
    assert 10 < len(invented) < 50
    for words, turns in invented:
        shown = " ".join(turn.observation.partition("Back to Search")[2] for turn in turns).lower()
        assert all(word in shown for word in words)


def test_pages_can_be_learnt_too(corpus):
    corpus.begin_stage(TextMix(learn_seen=1.0))
    seen = corpus.draw(random.Random(1))
    corpus.begin_stage(TextMix())
    unseen = corpus.draw(random.Random(1))
    assert [text for text, _ in seen.pieces] == [text for text, _ in unseen.pieces]
    assert sum(learn for _, learn in seen.pieces) > sum(learn for _, learn in unseen.pieces)
    assert not seen.pieces[0][1]  # what nobody can foresee
