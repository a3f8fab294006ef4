"""The counts behind the README's explanation, over dialogues written here."""

from eval_agent.rules import alfworld as rules
from scripts import explain_alfworld as explain

TASK = ("You are in the middle of a room. Looking quickly around you, you see a drawer 1, a shelf 1, and a desk 1.\n"
        "Your task is to: put a mug in desk.")
KNOWN = "Task Knowledge: When you have to put a mug in desk, you should first look for a mug at the drawer."
WALK = [("go to shelf 1", "On the shelf 1, you see a mug 1."), ("take mug 1 from shelf 1", "You pick up the mug 1.")]
FAILED = [("take mug 1 from drawer 1", "Nothing happens."), *WALK]


def episode(history, told=None, states=()):
    turns = [TASK if told is None else f"{TASK}\n{told}"]
    for action, seen in history:
        turns += [f"Thought: So.\nAction: {action}", f"Observation: {seen}"]
    conversations = [{"from": "gpt" if i % 2 else "human", "value": turn} for i, turn in enumerate(turns)]
    decisions = [{"step": step, "state_knowledge": text} for step, text in states]
    meta = {"task_id": "game", "success": told is None, "steps": len(history)}
    return {"meta": meta, "conversations": conversations, "decisions": decisions}


def test_the_object_was_where_it_could_be_taken():
    assert explain.places_of_the_object([episode(FAILED)]) == {"shelf"}
    assert explain.places_of_the_object([episode(FAILED[:1])]) == set()


def test_task_knowledge_that_names_another_place_counts_as_wrong():
    assert explain.named_place(episode(WALK)) is None
    text = explain.task_knowledge_table({"sft": {"game": episode(WALK)}, "w_task": {"game": episode(FAILED, KNOWN)}})
    assert "| wrong | 1 | sft | 100.0% | 2.0 |" in text and "| wrong | 1 | w_task | 0.0% | 3.0 |" in text
    assert "| right |" not in text


def test_the_usual_place_is_one_of_the_room():
    experts = [{**episode([(f"take mug 1 from {place}", "You pick up the mug 1.")]), "id": "x"}
               for place in ("sinkbasin 1", "sinkbasin 1", "shelf 2", "desk 1", "shelf 1")]
    text = explain.naming_table({"w_task": {"game": episode(FAILED, KNOWN)}}, experts)
    assert "| the world model | 1 | 0 |" in text and "| the usual place in expert trajectories | 1 | 1 |" in text


def test_states_are_compared_with_the_rules_before_and_after_a_failed_action():
    states = [(1, "State Knowledge: I do not know."), (2, rules.state_knowledge(TASK, FAILED[:2]))]
    text = explain.state_knowledge_table({"game": episode(FAILED, KNOWN, states)})
    assert "| after a failed action | no | 1 | 0.0% |" in text and "| after a failed action | yes | 1 | 100.0% |" in text
    clean = explain.state_knowledge_table({"game": episode(WALK, None, [(1, rules.state_knowledge(TASK, WALK[:1]))])})
    assert "| no failed action | no | 1 | 100.0% |" in clean


def test_overruled_decisions_are_counted_by_whether_the_last_action_failed():
    agent = {"p_agent": {"go": 0.9, "take": 0.1}}
    decisions = [{"step": step, "verb": verb, **agent} for step, verb in enumerate(["go", "take", "go"])]
    text = explain.overruled_table({"game": {**episode(FAILED), "decisions": decisions}})
    assert "| failed | 1 | 1 | 100.0% |" in text and "| had an effect, or none before | 2 | 0 | 0.0% |" in text
