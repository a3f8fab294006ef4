"""Retrieval against a NumPy brute force on the same vectors; caches that do not belong are refused."""

import time

import numpy as np
import pytest
from alfworld_pairs import make_pairs, trajectory

from eval_agent.errors import InputError
from eval_agent.files import write_json
from eval_agent.knowledge.state_base import (
    StateBase,
    build_cache,
    explored_triplets,
    make_triplets,
    recorded_encoder_model,
)

PRE_ACTIONS = ["look", "go to shelf 1", "go to shelf 2", "take mug 1 from shelf 1", "click[Buy Now]"]


class TableEncoder:
    """Looks each text's vector up in a table of random ones: exact, and made for comparison with NumPy."""

    def __init__(self, size: int, dimension: int = 16, identity: str = "table"):
        self.identity = identity
        vectors = np.random.default_rng(0).standard_normal((size, dimension)).astype(np.float32)
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.vectors[[int(text) for text in texts]]


@pytest.fixture
def base(tmp_path):
    """(cache folder, encoder, triplets) of 400 random states under five pre-actions."""
    random, encoder = np.random.default_rng(1), TableEncoder(500)
    triplets = [
        {"pre_action": str(random.choice(PRE_ACTIONS)), "state": str(row), "action": f"action {row}"}
        for row in range(400)
    ]
    write_json(tmp_path / "state_action_pair.json", triplets)
    build_cache(tmp_path / "state_action_pair.json", tmp_path / "cache", encoder, "lora/world_model")
    return tmp_path / "cache", encoder, triplets


def brute_force(triplets, encoder, query: str, belongs, n: int) -> list[str]:
    rows = [row for row, triplet in enumerate(triplets) if belongs(triplet["pre_action"])]
    similarity = encoder.vectors[rows] @ encoder.vectors[int(query)]
    return [triplets[rows[place]]["action"] for place in np.argsort(-similarity)[:n]]


@pytest.mark.parametrize("n", [1, 7, 1000])
@pytest.mark.parametrize("pre_action", ["look", "go to fridge 1", "take pan 2 from shelf 3"])
def test_the_nearest_with_the_same_pre_action_verb(base, pre_action, n):
    cache, encoder, triplets = base
    state_base, verb = StateBase.load(cache, encoder), pre_action.split()[0]
    for query in ("3", "450", "499"):
        expected = brute_force(triplets, encoder, query, lambda other: other.split()[0] == verb, n)
        assert state_base.next_actions(query, pre_action, n) == expected
    assert len(state_base) == 400


@pytest.mark.parametrize("n", [1, 7, 1000])
@pytest.mark.parametrize("pre_action", ["look", "go to shelf 2"])
def test_the_nearest_with_exactly_the_same_pre_action(base, pre_action, n):
    cache, encoder, triplets = base
    state_base = StateBase.load(cache, encoder, rule="exact")
    for query in ("3", "450", "499"):
        expected = brute_force(triplets, encoder, query, lambda other: other == pre_action, n)
        assert state_base.next_actions(query, pre_action, n) == expected


def test_the_nearest_whose_pre_action_failed_as_the_last_action_did(base):
    cache, encoder, triplets = base
    failed = [row for row in range(0, 400, 3) if triplets[row]["pre_action"].startswith("go")]
    for row in failed:
        triplets[row]["failed"] = True
    write_json(cache.parent / "state_action_pair.json", triplets)
    build_cache(cache.parent / "state_action_pair.json", cache, encoder, None)
    state_base = StateBase.load(cache, encoder, rule="outcome")
    refused, fine = ([{**t, "pre_action": "go" if t["pre_action"][:2] == "go" and t.get("failed", False) == wanted else "-"}
                      for t in triplets] for wanted in (True, False))
    for n in (1, 7, 1000):
        for part, flag in ((refused, True), (fine, False)):
            expected = brute_force(part, encoder, "450", lambda other: other == "go", n)
            assert state_base.next_actions("450", "go to bed 1", n, failed=flag) == expected
    assert state_base.next_actions("450", "look", 5, failed=True) == []  # none of these was refused
    assert len(StateBase.load(cache, encoder).next_actions("450", "go to bed 1", 1000, failed=True)) == len(failed) + sum(
        t["pre_action"].startswith("go") and "failed" not in t for t in triplets)


def test_what_is_less_similar_than_the_floor_does_not_count(base):
    cache, encoder, triplets = base
    state_base = StateBase.load(cache, encoder)
    rows = [row for row, triplet in enumerate(triplets) if triplet["pre_action"] == "look"]
    similar = sum(encoder.vectors[row] @ encoder.vectors[450] >= 0.2 for row in rows)
    nearest = state_base.next_actions("450", "look", 400)
    assert 0 < similar < len(rows) == len(nearest)
    assert state_base.next_actions("450", "look", 400, min_similarity=0.2) == nearest[:similar]
    assert state_base.next_actions("450", "look", 400, min_similarity=0.9) == []


def test_explored_triplets_know_what_was_refused_and_do_not_advise_it():
    pair = make_pairs()[1]
    explored = trajectory(
        "Your task is to: put a apple in fridge.",
        ("go to fridge 1", "The fridge 1 is closed."),
        ("take apple 3 from fridge 1", "Nothing happens."),
        ("open fridge 1", "You open the fridge 1."),
        ("take apple 3 from fridge 1", "You pick up the apple 3."),
    )
    for number, turn in enumerate(explored["conversations"][::2]):
        turn["state_knowledge"] = f"state {number}"
    found = explored_triplets([{**explored, "invalid_steps": [1]}], "explored.json")
    assert found == [
        {"pre_action": "look", "state": "state 0", "action": "go to fridge 1", "explored": True},
        {"pre_action": "take apple 3 from fridge 1", "state": "state 2", "action": "open fridge 1", "explored": True,
         "failed": True},
        {"pre_action": "open fridge 1", "state": "state 3", "action": "take apple 3 from fridge 1", "explored": True},
    ]  # fmt: skip
    with pytest.raises(InputError, match="explored.json: record 0: chosen: .*state_knowledge is missing"):
        explored_triplets([pair], "explored.json")


def test_a_pre_action_that_the_base_has_not_gives_nothing(base):
    cache, encoder, _ = base
    assert StateBase.load(cache, encoder).next_actions("1", "heat mug 1 with microwave 1", 5) == []
    assert StateBase.load(cache, encoder).next_actions("1", "", 5) == []
    assert StateBase.load(cache, encoder, rule="exact").next_actions("1", "go to shelf 9", 5) == []


def test_a_cache_of_another_encoder_is_refused(base):
    with pytest.raises(InputError, match="built with encoder table, but the one in use is other"):
        StateBase.load(base[0], TableEncoder(500, identity="other"))


def test_a_cache_of_other_triplets_is_refused(base):
    cache, encoder, triplets = base
    write_json(cache.parent / "state_action_pair.json", triplets[::-1])
    with pytest.raises(InputError, match="state_action_pair.json has changed since the cache was built"):
        StateBase.load(cache, encoder)
    (cache.parent / "state_action_pair.json").unlink()
    with pytest.raises(InputError, match="triplets file .* is gone"):
        StateBase.load(cache, encoder)


@pytest.mark.parametrize("content", [b"", b"noise", None], ids=["empty", "noise", "cut short"])
def test_a_broken_index_is_embedded_anew(base, content, capsys):
    cache, encoder, _ = base
    whole = (cache / "000.faiss").read_bytes()
    (cache / "000.faiss").write_bytes(whole[:100] if content is None else content)
    assert len(StateBase.load(cache, encoder)) == 400
    assert 'the index of pre-action verb "go" cannot be read; embedding its 400 states anew' in capsys.readouterr().err
    assert (cache / "000.faiss").read_bytes() == whole


def test_a_cache_that_is_not_whole_is_refused(base):
    cache, encoder, _ = base
    (cache / "meta.json").write_text("")
    with pytest.raises(InputError, match="meta.json: the file is empty; build it with"):
        StateBase.load(cache, encoder)
    (cache / "meta.json").unlink()
    with pytest.raises(InputError, match="no state base"):
        StateBase.load(cache, encoder)


def test_rebuilding_replaces_the_whole_cache(base):
    cache, encoder, triplets = base
    write_json(cache.parent / "state_action_pair.json", [t for t in triplets if t["pre_action"] == "look"])
    build_cache(cache.parent / "state_action_pair.json", cache, encoder, None)
    assert sorted(file.name for file in cache.iterdir()) == ["000.faiss", "meta.json"]
    assert StateBase.load(cache, encoder).next_actions("1", "go to shelf 1", 5) == []
    assert recorded_encoder_model(cache) is None


def test_a_cache_tree_can_be_moved(base, tmp_path):
    cache, encoder, _ = base
    assert recorded_encoder_model(cache) == "lora/world_model"
    moved = cache.parent.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    assert len(StateBase.load(moved / "cache", encoder)) == 400


def test_a_large_base_is_loaded_and_asked_fast(tmp_path):
    size, encoder = 60_000, TableEncoder(60_000, dimension=256)
    verbs = ["go to x", "go to x", "open x", "close x", "take x", "put x"]
    triplets = [{"pre_action": verbs[row % 6], "state": str(row), "action": "go"} for row in range(size)]
    write_json(tmp_path / "triplets.json", triplets)
    build_cache(tmp_path / "triplets.json", tmp_path / "cache", encoder, None)
    started = time.perf_counter()
    state_base = StateBase.load(tmp_path / "cache", encoder)
    loading = time.perf_counter() - started
    queries = []
    for query in range(20):
        started = time.perf_counter()
        assert len(state_base.next_actions(str(query), "go to x", 3000)) == 3000
        queries.append(time.perf_counter() - started)
    # measured alone: 0.3 s and 1-2 ms; the bounds leave room for a busy machine
    assert loading < 2 and min(queries) < 0.01


def test_triplets_of_a_trajectory():
    pairs = make_pairs()
    for number, turn in enumerate(pairs[1]["chosen"]["conversations"][::2]):
        turn["state_knowledge"] = f"State Knowledge:  state\n{number}"
    assert make_triplets(pairs[1:], "pairs.json") == [
        {"pre_action": "look", "state": "State Knowledge: state 0", "action": "go to countertop 1"},
        {
            "pre_action": "go to countertop 1",
            "state": "State Knowledge: state 1",
            "action": "take apple 3 from countertop 1",
        },
        {
            "pre_action": "take apple 3 from countertop 1",
            "state": "State Knowledge: state 2",
            "action": "go to fridge 1",
        },
        {"pre_action": "go to fridge 1", "state": "State Knowledge: state 3", "action": "open fridge 1"},
        {
            "pre_action": "open fridge 1",
            "state": "State Knowledge: state 4",
            "action": "put apple 3 in/on fridge 1",
        },
    ]


def test_triplets_are_kept_without_bracketed_arguments():
    shopping = trajectory("buy a red mug", ("search[red mug]", "results"), ("click[Buy Now]", "done"))
    for turn in shopping["conversations"][::2]:
        turn["state_knowledge"] = "State Knowledge: known"
    actions = [(triplet["pre_action"], triplet["action"]) for triplet in make_triplets([shopping], "x.json")]
    assert actions == [("look", "search"), ("search", "click")]


def test_a_turn_without_state_knowledge_is_named():
    pairs = make_pairs()
    for turn in pairs[0]["chosen"]["conversations"][:4:2]:
        turn["state_knowledge"] = "State Knowledge: known"
    with pytest.raises(
        InputError, match=r"pairs.json: record 0: chosen: conversations\[4\].state_knowledge is missing"
    ):
        make_triplets(pairs, "pairs.json")
