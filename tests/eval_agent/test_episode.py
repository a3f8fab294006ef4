"""One episode on a real game; the agents follow a script, so that every branch can be decided exactly."""

import math
import os
import signal

import pytest

from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError
from eval_agent.envs import BaseEnv, StepResult
from eval_agent.episode import (
    NO_ACTION,
    REFLECTION,
    Agent,
    Crashed,
    Planner,
    WorldModel,
    run_episode,
)
from eval_agent.files import read_json, write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.state_base import StateBase, build_cache
from eval_agent.tasks import load_tasks
from eval_agent.trajectories.dialogue import instruction
from eval_agent.trajectories.sft import make_conversations

INSTRUCTION = "Finish the task in the household."
STATE = "State Knowledge: I hold nothing. SECRET"
TASK_KNOWLEDGE = "Task Knowledge: When you have to put a potato, you should look in the microwave."


class Script(LMAgent):
    """Answers turn n with ``replies[n]``, also where its beginning is given."""

    def __init__(self, replies, verbs=None):
        self.replies = replies
        self.verbs = verbs or {}  # verb -> (first-token probability, whole-verb probability)
        self.asked = []  # messages of every call

    def generate(self, messages, *, stop=(), temperature, max_new_tokens):
        self.asked.append(messages)
        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        turn = sum(message["role"] == "user" for message in messages) - 2  # the first is the instruction
        reply = self.replies(turn) if callable(self.replies) else self.replies[turn]
        rest = reply.removeprefix(begun) if reply.startswith(begun) else " desk 1"
        for text in stop:
            rest = rest.split(text)[0]
        return rest

    def score(self, messages, candidates):
        self.asked.append(messages)
        assert messages[-1]["role"] == "assistant" and messages[-1]["content"].endswith("\nAction:")
        assert all(candidate.startswith(" ") for candidate in candidates)
        logs = [[math.log(p) if p else -math.inf for p in self.verbs[verb.strip()]] for verb in candidates]
        return [CandidateScore(token, first, whole) for token, (first, whole) in enumerate(logs)]


def thoughts(actions):
    return [f"Thought: step {number}.\nAction: {action}" for number, action in enumerate(actions)]


def knows(turn):
    return STATE if turn else TASK_KNOWLEDGE


@pytest.fixture(scope="module")
def task(demo_games):
    return load_tasks(demo_games.task_config, "train")[1]


@pytest.fixture(scope="module")
def expert(demo_games, task):
    return demo_games.expert_actions[task.task_id]


@pytest.fixture(scope="module")
def state_base(base_model, tmp_path_factory):
    """After "go": three times open, once take; after other verbs nothing."""
    folder = tmp_path_factory.mktemp("base")
    following = ["open fridge 1", "open microwave 1", "open drawer 2", "take mug 1 from desk 1"]
    triplets = [{"pre_action": "go to desk 1", "state": STATE, "action": action} for action in following]
    write_json(folder / "pairs.json", triplets)
    encoder = load_encoder("wkm-embedding", str(base_model))
    build_cache(folder / "pairs.json", folder / "cache", encoder, str(base_model))
    return StateBase.load(folder / "cache", encoder)


def play(env, task, agent, world_model=None, max_steps=40):
    return run_episode(env, task, "train", Agent(agent, INSTRUCTION, 0.0, 256), world_model, max_steps)


def world(model, state_base, verbs, gamma=0.4, **told):
    planner = Planner(state_base, gamma, 3000, list(verbs))
    return WorldModel(model, INSTRUCTION, 0.0, 512, 128, planner=planner, **told)


def test_the_plain_agent_replays_the_expert_and_wins(env, task, expert):
    result = play(env, task, Script(thoughts(expert)))
    meta = result["meta"]
    assert (meta["success"], meta["reward"], meta["terminate_reason"]) == (True, 1.0, "success")
    assert (meta["steps"], meta["invalid_actions"], meta["finished"]) == (len(expert), 0, True)
    assert meta["task_id"] == task.task_id and meta["split"] == "train" and meta["error"] is None
    turns = result["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(expert) + 1) + ["human"]
    assert [turn["value"] for turn in turns[:2]] == [INSTRUCTION, "OK"]
    assert "Your task is to: " in turns[2]["value"]
    assert turns[3]["value"] == thoughts(expert)[0] and turns[4]["value"].startswith("Observation: ")
    assert result["world_model_conversations"] == result["decisions"] == []


def test_knowledge_goes_where_it_belongs(env, task, expert, state_base):
    verbs = dict.fromkeys(["go", "open", "take", "close", "put"], (0.2, 0.2))
    agent, world_model = Script(thoughts(expert), verbs), Script(knows)
    result = play(env, task, agent, world(world_model, state_base, verbs), max_steps=3)

    assert result["conversations"][2]["value"].endswith("\n" + TASK_KNOWLEDGE)
    for messages in agent.asked:
        assert messages[2]["content"] == result["conversations"][2]["value"]
        assert not any("SECRET" in message["content"] for message in messages)
    told = result["world_model_conversations"]
    assert [turn["from"] for turn in told] == ["human", "gpt"] * 4  # one state for each step after the first
    assert told[2]["value"] + "\n" + TASK_KNOWLEDGE == result["conversations"][2]["value"]
    assert told[3]["value"] == TASK_KNOWLEDGE and told[5]["value"] == STATE
    reply, heard = (result["conversations"][turn]["value"] for turn in (3, 4))
    assert told[4]["value"] == f"{reply}\n{heard}"


def test_with_task_knowledge_alone_the_agent_acts_by_itself(env, task, expert):
    agent, knowing = Script(thoughts(expert)), WorldModel(Script(knows), INSTRUCTION, 0.0, 512, 128)
    result = play(env, task, agent, knowing)
    assert result["meta"]["success"] and result["conversations"][2]["value"].endswith("\n" + TASK_KNOWLEDGE)
    assert len(result["world_model_conversations"]) == 4  # instruction, OK, task, task knowledge
    assert [decision["verb"] for decision in result["decisions"]] == [action.split()[0] for action in expert]
    assert not any(decision["p_agent"] or decision["state_knowledge"] for decision in result["decisions"])


@pytest.mark.parametrize("told", ["Task Knowledge: When you search, you should open what is closed.", None])
def test_the_agent_is_told_another_task_knowledge_or_none(env, task, expert, state_base, told):
    """Dataset-level knowledge, and state knowledge alone: the world model's own stays in its dialogue."""
    agent = Agent(Script(thoughts(expert), VERBS), INSTRUCTION, 0.0, 256, task_knowledge=told)
    knowing = world(Script(knows), state_base, VERBS, task_to_agent=False)
    result = run_episode(env, task, "train", agent, knowing, 2)
    seen, known = (result[side][2]["value"] for side in ("conversations", "world_model_conversations"))
    assert seen == (f"{known}\n{told}" if told else known)
    assert result["world_model_conversations"][3]["value"] == TASK_KNOWLEDGE
    assert result["decisions"][1]["state_knowledge"] == STATE and result["decisions"][1]["p_agent"]


def trained_on(plain, mode):
    """The training dialogue that ``mode`` makes of a plain episode."""
    turns = [{**turn, "state_knowledge": STATE} for turn in plain["conversations"][:-1]]
    record = {"id": "game", "conversations": turns, "task_knowledge": TASK_KNOWLEDGE}
    return make_conversations([record], "alfworld", mode, "test")[0]["conversations"]


def test_knowagent_is_shown_what_it_was_trained_on(env, task, expert):
    actions = [expert[0], "take moon 1 from desk 1", *expert[1:]]  # what fails is in the path too
    plain = play(env, task, Script(thoughts(actions)))
    agent = Agent(Script(thoughts(actions)), instruction("alfworld", "knowagent"), 0.0, 256, action_path=True)
    result = run_episode(env, task, "train", agent, None, 40)
    assert result["meta"]["success"] and result["conversations"][:-1] == trained_on(plain, "knowagent")
    assert result["conversations"][6]["value"].endswith("Action Path: start -> go -> take")


def test_explicit_state_is_shown_what_it_was_trained_on(env, task, expert):
    plain = play(env, task, Script(thoughts(expert)))
    knowing = WorldModel(Script(knows), INSTRUCTION, 0.0, 512, 128, state_to_agent=True)
    agent = Agent(Script(thoughts(expert)), instruction("alfworld", "agent"), 0.0, 256)
    result = run_episode(env, task, "train", agent, knowing, 40)
    assert result["meta"]["success"] and result["conversations"][:-1] == trained_on(plain, "explicit_state")
    known = [decision["state_knowledge"] for decision in result["decisions"]]
    assert known == [None] + [STATE] * (len(expert) - 1)
    heard = result["world_model_conversations"][6]["value"]  # the world model hears no state knowledge
    assert heard == "\n".join(turn["value"] for turn in plain["conversations"][5:7])


class Reflects(Script):
    """Plays ``first`` until it is told a reflection, then ``second``."""

    def __init__(self, first, second):
        super().__init__(first)
        self.second = second

    def generate(self, messages, **options):
        if messages[0]["content"].startswith("Reflect"):
            self.asked.append(messages)
            return "I should\n look in the microwave."
        if REFLECTION in messages[2]["content"]:
            self.replies = self.second
        return super().generate(messages, **options)


def retry(env, task, model, trials=2, max_steps=40):
    agent = Agent(model, INSTRUCTION, 0.0, 256, trials=trials, reflection="Reflect.")
    return run_episode(env, task, "train", agent, None, max_steps)


def test_a_failed_trial_is_reflected_on_and_played_again(env, task, expert):
    wrong = ["look"] * 99
    result = retry(env, task, Reflects(thoughts(wrong), thoughts(expert)), max_steps=len(expert))
    first, = result["trials"]
    assert (first["meta"]["success"], first["meta"]["terminate_reason"]) == (False, "max_steps")
    assert first["reflection"] == "I should look in the microwave."
    assert "Reflection" not in first["conversations"][2]["value"]
    told = first["conversations"][2]["value"] + "\nReflection on your earlier trial: " + first["reflection"]
    assert result["conversations"][2]["value"] == told
    assert (result["meta"]["success"], result["meta"]["steps"]) == (True, len(expert))


def test_the_reflection_is_made_of_the_failed_trial(env, task):
    model = Reflects(thoughts(["look", "inventory"]), thoughts(["look", "inventory"]))
    result = retry(env, task, model, max_steps=2)
    asked, = [messages for messages in model.asked if messages[0]["content"].startswith("Reflect")]
    first = result["trials"][0]["conversations"]
    told = "\n".join(["Reflect.", *(turn["value"] for turn in first[2:])])
    assert asked == [{"role": "user", "content": told}]
    assert not result["meta"]["success"] and len(result["trials"]) == 1  # the second result counts


def test_a_trial_that_succeeds_needs_no_other(env, task, expert):
    result = retry(env, task, Reflects(thoughts(expert), None))
    assert result["meta"]["success"] and result["trials"] == []


def test_a_reflection_that_fails_for_technical_reasons_is_tried_again(env, task):
    model = Fails(thoughts(["look"] * 9), ModelError("gone"), at=-1)  # the reflection's only turn
    meta = retry(env, task, model, max_steps=2)["meta"]
    assert (meta["finished"], meta["terminate_reason"], meta["error"]) == (False, "error", "ModelError: gone")


VERBS = {"go": (0.6, 0.1), "take": (0.3, 0.2), "open": (0.1, 0.7)}


def decide(env, task, state_base, first="go to sinkbasin 1", **settings):
    agent = Script(thoughts([first, "go to desk 1"]), VERBS)
    result = play(env, task, agent, world(Script(knows), state_base, VERBS, **settings), max_steps=2)
    return result["decisions"], result["conversations"][5]["value"]


def test_the_blend_can_be_checked_by_hand(env, task, state_base):
    (first, second), reply = decide(env, task, state_base, gamma=0.4)
    assert (first["step"], first["pre_action"], first["verb"], first["p_agent"]) == (0, "look", "go", None)
    assert (second["step"], second["pre_action"]) == (1, "go to sinkbasin 1")
    assert second["state_knowledge"] == STATE
    assert second["p_agent"] == pytest.approx({"go": 0.6, "take": 0.3, "open": 0.1})
    assert second["p_know"] == pytest.approx({"go": 0.0, "take": 0.25, "open": 0.75})
    # 0.4 * 0.6; 0.4 * 0.3 + 0.6 * 0.25; 0.4 * 0.1 + 0.6 * 0.75
    assert second["blend"] == pytest.approx({"go": 0.24, "take": 0.27, "open": 0.49})
    assert (second["n_neighbours"], second["verb"]) == (4, "open")
    retrieved = ["take mug 1 from desk 1", "open drawer 2", "open microwave 1", "open fridge 1"]
    assert second["next_actions"] == dict.fromkeys(retrieved, 1)
    assert reply == "Thought: step 1.\nAction: open desk 1"


def test_with_gamma_1_the_base_has_no_influence(env, task, state_base):
    (_, second), reply = decide(env, task, state_base, gamma=1.0)
    assert second["blend"] == second["p_agent"] and second["verb"] == "go"
    assert second["p_know"]["open"] == 0.75  # still recorded
    assert reply == "Thought: step 1.\nAction: go to desk 1"


def test_with_an_empty_neighbourhood_the_agent_decides(env, task, state_base):
    (_, second), _ = decide(env, task, state_base, first="inventory", gamma=0.0)
    assert (second["p_know"], second["n_neighbours"], second["verb"]) == (None, 0, "go")
    assert second["blend"] == second["p_agent"]


def test_after_a_refused_action_the_rule_outcome_asks_what_followed_such_ones(env, task, base_model, tmp_path):
    followed = [("open fridge 1", False), ("examine desk 1", True)]
    triplets = [{"pre_action": "go to desk 1", "state": STATE, "action": action, **({"failed": True} if failed else {})}
                for action, failed in followed]
    write_json(tmp_path / "pairs.json", triplets)
    encoder = load_encoder("wkm-embedding", str(base_model))
    build_cache(tmp_path / "pairs.json", tmp_path / "cache", encoder, None)
    base = StateBase.load(tmp_path / "cache", encoder, "outcome")
    for first, expected in (("go to sinkbasin 1", "open fridge 1"), ("go to the moon", "examine desk 1")):
        (_, second), _ = decide(env, task, base, first=first)
        assert second["next_actions"] == {expected: 1}, first


def test_a_floor_on_similarity_and_a_temperature_are_the_planner_s(env, task, state_base):
    agent = Script(thoughts(["go to sinkbasin 1", "go to desk 1"]), VERBS)
    planner = Planner(state_base, 0.4, 3000, list(VERBS), min_similarity=1.0, agent_temperature=2.0)
    knowing = Script(lambda turn: "State Knowledge: nothing like it." if turn else TASK_KNOWLEDGE)
    second = play(env, task, agent, WorldModel(knowing, INSTRUCTION, 0.0, 512, 128, planner=planner), 2)["decisions"][1]
    assert (second["p_know"], second["verb"]) == (None, "go")
    roots = {"go": 0.6**0.5, "take": 0.3**0.5, "open": 0.1**0.5}
    assert second["p_agent"] == pytest.approx({verb: root / sum(roots.values()) for verb, root in roots.items()})


@pytest.mark.parametrize("first, reply", [
    ("go to sinkbasin 1", "go to the moon"),  # nothing was refused: the agent's own
    ("go to mars", "go to the moon"),  # something else was
    ("go to the moon", "open desk 1"),  # the same: state knowledge says what to do instead
])  # fmt: skip
def test_only_when_stuck_state_knowledge_replaces_what_was_refused(env, task, state_base, first, reply):
    planner = Planner(state_base, 0.0, 3000, list(VERBS), only_when_stuck=True)
    agent = Script(thoughts([first, "go to the moon"]), VERBS)
    result = play(env, task, agent, WorldModel(Script(knows), INSTRUCTION, 0.0, 512, 128, planner=planner), 2)
    assert result["conversations"][5]["value"] == f"Thought: step 1.\nAction: {reply}"
    assert (result["decisions"][1]["agent_verb"], result["decisions"][1]["verb"]) == ("go", reply.split()[0])
    assert bool(result["decisions"][1]["p_know"]) == (first == "go to the moon")


def test_when_stuck_the_verbs_are_gone_through_until_one_is_left(env, task, state_base):
    """After "go" the base says "open", after the others nothing: the agent's own next one; then all were refused."""
    planner = Planner(state_base, 0.0, 3000, list(VERBS), only_when_stuck=True)
    agent = Script(thoughts(["go to the moon"] * 4), VERBS)
    result = play(env, task, agent, WorldModel(Script(knows), INSTRUCTION, 0.0, 512, 128, planner=planner), 4)
    said = [turn["value"].split("Action: ")[1] for turn in result["conversations"][3::2]]
    assert said == ["go to the moon", "open desk 1", "take desk 1", "open desk 1"]
    assert result["invalid_steps"] == [0, 1, 2, 3]


class AsksBack(BaseEnv):
    """Answers the first action with ScienceWorld's question."""

    def reset(self, task):
        return "Your task is to boil water."

    def step(self, action):
        question = "Ambiguous request: Please enter the number for the action you intended (or blank to cancel):"
        return StepResult(question, 0.0, False, False, valid=True, asks_back=True)

    def close(self):
        pass


def test_the_number_that_answers_a_question_is_the_agent_s_own(task, state_base):
    """No other episode can tell which one is meant."""
    agent = Script(thoughts(["go to desk 1", "go to desk 1"]), VERBS)
    result = play(AsksBack(), task, agent, world(Script(knows), state_base, VERBS, gamma=0.0), max_steps=2)
    _, second = result["decisions"]
    assert (second["state_knowledge"], second["p_know"], second["n_neighbours"]) == (STATE, None, 0)
    assert second["verb"] == second["agent_verb"] == "go"


@pytest.mark.parametrize("written", ["Go to {}.", "`go to {}`", "**go to {}**", '"Go to {}!"', "go to {} "])
def test_an_action_counts_however_it_is_dressed(env, task, expert, written):
    """As the release reads it; the dialogue keeps the model's own words."""
    said = ["Thought: a.\nAction: " + written.format(expert[0].removeprefix("go to ")), *thoughts(expert)[1:]]
    agent = Agent(Script(said), INSTRUCTION, 0.0, 256, lower_case_actions=True)
    result = run_episode(env, task, "train", agent, None, 40)
    assert result["meta"]["success"] and result["meta"]["invalid_actions"] == 0
    assert result["conversations"][3]["value"] == said[0].strip()


def test_an_answer_without_action_gets_an_error_observation(env, task, expert):
    mute = ["I do not know.", "Thought: hm.\nAction:", "Thought: on.\nAction: fly to moon 1"]
    result = play(env, task, Script(mute + thoughts(expert)))
    turns = [turn["value"] for turn in result["conversations"]]
    assert turns[3:8:2] == mute
    assert turns[4] == turns[6] == "Observation: " + NO_ACTION
    assert turns[8] == "Observation: Nothing happens."
    meta = result["meta"]
    assert (meta["invalid_actions"], meta["steps"], meta["success"]) == (3, len(expert) + 3, True)
    assert result["invalid_steps"] == [0, 1, 2]


def test_what_was_not_executed_is_no_pre_action(env, task, state_base):
    agent = Script(["hm.", "Thought: t.\nAction: go to desk 1"], VERBS)
    result = play(env, task, agent, world(Script(knows), state_base, VERBS), max_steps=2)
    assert [decision["pre_action"] for decision in result["decisions"]] == ["look", "look"]


@pytest.mark.parametrize("written", [
    "<think>I may look.\nAction: look</think>\n{thought}\n{action}",
    "{thought} My last Action: look did nothing.\n{action}",
    "{thought}\n**Action:** {command}",
    "{thought}\naction: {command} Observation: You arrive at bed 7.",
    "{thought}\nAction: look\nThought: No.\n{action}",
])
def test_a_reply_in_another_form_is_repaired_and_counted(env, task, expert, written):
    """The dialogue goes on in the form that was asked for: reasoning and what was not the model's to say are gone."""
    command = expert[0]
    said = written.format(thought="Thought: a.", action=f"Action: {command}", command=command)
    meta = play(env, task, Script([said, *thoughts(expert)[1:]]))["meta"]
    assert (meta["success"], meta["invalid_actions"]) == (True, 0)
    assert meta["repaired_replies"] == (0 if "My last" in written else 1)


def test_half_a_character_in_a_reply_is_replaced_and_counted(env, task, expert, state_base, tmp_path):
    """It would end a whole evaluation where the file is written."""
    broken = "Thought: a \ud83d.\nAction: "
    agent = Script([broken + "look", broken, broken + expert[0]], VERBS)
    result = play(env, task, agent, world(Script(lambda turn: f"{knows(turn)} \udc00"), state_base, VERBS), max_steps=3)
    write_json(tmp_path / "episode.json", result)
    assert read_json(tmp_path / "episode.json") == result
    assert result["conversations"][3]["value"] == "Thought: a \ufffd.\nAction: look"
    assert result["meta"]["replaced_characters"] == 3 + 3  # three thoughts; task knowledge and two states
    assert result["meta"]["finished"]


def test_the_planner_reads_the_thought_alone_of_a_reply_in_another_form(env, task, state_base):
    said = "<think>hm</think>Thought: My last Action: look.\n**Action:** open desk 1\n"
    agent = Script(["Action: look", said], VERBS)
    result = play(env, task, agent, world(Script(knows), state_base, VERBS), max_steps=2)
    assert result["conversations"][5]["value"].startswith("Thought: My last Action: look.\nAction: ")
    assert result["meta"]["repaired_replies"] == 1


def test_reasoning_that_holds_a_stop_string_is_read_to_its_end(env, task, expert):
    said = "<think>I saw:\nObservation: nothing\nAction: look</think>Thought: a.\nAction: " + expert[0]
    result = play(env, task, Script([said, *thoughts(expert)[1:]]))
    assert result["meta"]["success"]
    assert result["conversations"][3]["value"] == f"Thought: a.\nAction: {expert[0]}"


class Fails(Script):
    """Raises ``error`` at turn ``at``."""

    def __init__(self, replies, error, at, verbs=None):
        super().__init__(replies, verbs)
        self.error, self.at = error, at

    def generate(self, messages, **options):
        if sum(message["role"] == "user" for message in messages) - 2 == self.at:
            raise self.error
        return super().generate(messages, **options)


def test_the_agent_s_full_context_ends_the_episode(env, task, expert):
    result = play(env, task, Fails(thoughts(expert), ContextOverflow("2048 tokens"), at=2))
    meta = result["meta"]
    assert (meta["terminate_reason"], meta["finished"], meta["error"]) == ("context_overflow", True, None)
    assert (meta["success"], meta["steps"]) == (False, 2)


def test_without_room_for_state_knowledge_the_agent_decides(env, task, expert, state_base):
    verbs = {verb: (0.5 if verb == "go" else 0.1, 0.5) for verb in ("go", "open", "take")}
    world_model = Fails(knows, ContextOverflow("2048 tokens"), at=2)
    agent = Script(thoughts(expert), verbs)
    result = play(env, task, agent, world(world_model, state_base, verbs), max_steps=4)
    assert [d["state_knowledge"] for d in result["decisions"]] == [None, STATE, None, None]
    assert [d["n_neighbours"] for d in result["decisions"]] == [0, 4, 0, 0]
    assert result["decisions"][3]["blend"] == result["decisions"][3]["p_agent"]
    assert result["meta"]["terminate_reason"] == "max_steps"


def test_a_technical_failure_keeps_its_own_reason(env, task, expert):
    gone = ModelError("worker http://localhost:1 is gone")
    meta = play(env, task, Fails(thoughts(expert), gone, at=1))["meta"]
    assert (meta["terminate_reason"], meta["finished"], meta["success"]) == ("error", False, False)
    assert meta["error"] == "ModelError: worker http://localhost:1 is gone"


def test_a_fault_of_the_program_is_raised_with_what_was_played(env, task, expert):
    with pytest.raises(Crashed) as crash:
        play(env, task, Fails(thoughts(expert), KeyError("verb"), at=1))
    result = crash.value.result
    assert isinstance(crash.value.__cause__, KeyError)
    assert (result["meta"]["finished"], result["meta"]["steps"], result["meta"]["error"]) == (False, 1, "KeyError: 'verb'")
    assert result["traceback"].startswith("Traceback") and "in generate" in result["traceback"]


def killing_at_turn_1(env, expert, times):
    killed = []

    def reply(turn):
        if turn == 1 and len(killed) < times:
            killed.append(env.pid)
            os.kill(env.pid, signal.SIGKILL)
        return thoughts(expert)[turn]

    return Script(reply), killed


def test_an_episode_whose_env_is_killed_starts_again(env, task, expert):
    agent, killed = killing_at_turn_1(env, expert, times=2)
    result = play(env, task, agent)
    assert result["meta"]["success"] and result["meta"]["steps"] == len(expert)
    assert len(result["conversations"]) == 2 * len(expert) + 3  # nothing of the lost beginnings is left
    assert len(set(killed)) == 2 and env.pid not in killed


def test_an_env_that_is_killed_each_time_is_a_technical_failure(env, task, expert):
    agent, killed = killing_at_turn_1(env, expert, times=9)
    meta = play(env, task, agent)["meta"]
    assert len(killed) == 3
    assert not meta["finished"] and meta["error"].startswith("EnvLost") and "SIGKILL" in meta["error"]
    assert play(env, task, Script(thoughts(expert)))["meta"]["success"]  # the next episode has a new env
