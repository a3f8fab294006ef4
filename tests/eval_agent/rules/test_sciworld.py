"""The ScienceWorld rules on what the simulator (scienceworld 1.2.3) answers, written down from runs of it."""

import pytest

from eval_agent.errors import InputError
from eval_agent.rules.sciworld import state_knowledge, task_knowledge
from eval_agent.rules.sciworld_state import impossible
from eval_agent.trajectories.format import steps_of

BOIL = "Your task is to boil water. For compounds without a boiling point, combusting it is also acceptable."
KITCHEN = "This room is called the kitchen. In it, you see: \n\tthe agent\n\ta substance called air\n\ta chair."
EXPERT = [
    ("open door to kitchen", "The door is already open."),
    ("go to kitchen", "You move to the kitchen."),
    ("look around", KITCHEN),
    ("pick up thermometer", "You move the thermometer to the inventory."),
    ("pick up metal pot", "You move the metal pot to the inventory."),
    ("move metal pot to sink", "You move the metal pot to the sink."),
    ("activate sink", "The sink is now activated."),
    ("focus on substance in metal pot", "You focus on the water."),
    ("pour metal pot into metal pot", "You can't move something into itself."),
    ("move metal pot to stove", "You move the metal pot to the stove."),
    ("activate stove", "The stove is now activated."),
    ("use thermometer in inventory on substance in metal pot",
     "the thermometer measures a temperature of 98 degrees celsius"),
]
EXPLORED = [
    ("teleport to greenhouse", "You teleport to the greenhouse."),
    ("pick up stove", "No known action matches that input."),
    ("focus on jug", "You focus on the jug."),
]


def steps(run: list[tuple[str, str]]):
    turns = [{"from": "human", "value": BOIL}]
    for action, observation in run:
        turns += [{"from": "gpt", "value": f"Thought: Next.\nAction: {action}"},
                  {"from": "human", "value": f"Observation: {observation}"}]
    return steps_of({"id": "boil_0", "conversations": turns}, "test")


def test_task_knowledge_compares_both_runs():
    assert task_knowledge(steps(EXPERT), steps(EXPLORED)) == (
        "Task Knowledge: When you have to boil water, you should go to the kitchen and take the metal pot and "
        "thermometer and focus on the water. You should not lose time in the greenhouse or try impossible actions "
        'like "pick up stove". The action workflows are: 1) go to kitchen 2) pick up thermometer 3) pick up metal pot '
        "4) move metal pot to sink 5) activate sink 6) focus on substance in metal pot 7) move metal pot to stove "
        "8) activate stove 9) use thermometer in inventory on substance in metal pot"
    )


@pytest.mark.parametrize("done, known", [
    (0, "The task is to boil water. I hold nothing."),
    (2, "The task is to boil water. I am in the kitchen. I hold nothing."),
    (3, "The task is to boil water. I am in the kitchen and have looked around. I hold nothing."),
    (5, "I hold the thermometer and metal pot."),
    (9, "I hold the thermometer. I focused on the water. The metal pot is in the sink. The sink is "
        'activated. My last action "pour metal pot into metal pot" was not possible: You can\'t move something into '
        "itself."),
    (12, "I hold the thermometer. I focused on the water. The metal pot is in the stove. The sink is activated. The "
         "stove is activated. The substance in metal pot measured 98 degrees celsius."),
])
def test_state_knowledge_grows_with_the_history(done, known):
    text = state_knowledge(BOIL, EXPERT[:done])
    assert text.startswith("State Knowledge: The task is to boil water.") and text.endswith(known)
    assert "\n" not in text


def test_what_was_mixed_and_read_is_kept():
    history = [
        ("read recipe in inventory", "The recipe reads:\nTo make salt water, you need to mix sodium chloride, water."),
        ("mix glass cup", "Sodium chloride and water mix to produce salt water."),
    ]
    text = state_knowledge("Your task is to use chemistry to create the substance 'salt water'.", history)
    assert text.endswith(
        "I made salt water. I read the recipe: To make salt water, you need to mix sodium chloride, water."
    )


def test_a_circuit_and_what_it_lights_are_kept():
    history = [
        ("connect battery anode to red wire terminal 1", "anode on battery is now connected to terminal 1 on red wire"),
        ("connect red wire terminal 2 to anode in blue light bulb",
         "terminal 2 on red wire is now connected to anode on blue light bulb"),
        ("wait", "You decide to wait for 10 iterations."),
        ("wait1", "You decide to wait for 1 iterations."),
    ]
    task = "Your task is to turn on the blue light bulb."
    assert state_knowledge(task, history).endswith(
        "The battery, red wire and blue light bulb are connected. I have waited for 11 moments."
    )
    look = "This room is called the workshop. In it, you see: \n\ta blue light bulb, which is on\n\ta switch"
    text = state_knowledge(task, [*history, ("look around", look)])
    assert text.endswith("The battery, red wire and blue light bulb are connected. The blue light bulb is on.")
    freed = ("move light bulb to red box", "(disconnecting light bulb)You move the light bulb to the red box.")
    assert "The light bulb is in the red box." in state_knowledge(task, [*history, freed])


def test_a_question_and_what_was_poured_are_kept():
    history = [
        ("pour cup containing red paint in jug", "You pour the contents of the wood cup into the jug."),
        ("pick up orange", "Ambiguous request: Please enter the number for the action you intended\n0:\tpick up orange"),
    ]
    text = state_knowledge("Your task is to use chemistry to create orange paint.", history)
    assert text.endswith("I poured the cup containing red paint in jug. I was asked which one I mean.")


@pytest.mark.parametrize("answer", [
    "No known action matches that input.", "Unknown action.  Type 'help' for a list of actions.",
    "You can't move something into itself.", "The door is not open.", "The fridge isn't open, so you can't see inside.",
    "That can't be moved there, because the fridge isn't open.", "The stove is not moveable.",
    "The painting is not edible.",
    "The sink appears broken, and can't be activated or deactivated.", "It's not clear how to get there from here.",
    "I'm not sure how to use those two things together.", "The jug is empty, so there's nothing to pour.",
    "Connections must specify specific points of contact on polarized electrical components (e.g. anode, cathode)",
])
def test_what_was_not_possible_is_told_apart(answer):
    assert impossible(answer)


@pytest.mark.parametrize("answer", [
    "The door is already open.", "You move the jug to the sink.", "You decide to wait for 10 iterations.",
    "This room is called the hallway. In it, you see: \n\ta picture", "a substance called water",
    "Ambiguous request: Please enter the number for the action you intended (or blank to cancel):",
    "the thermometer measures a temperature of -7 degrees celsius", "The stove is now activated.",
])
def test_what_was_possible_is_not(answer):
    assert not impossible(answer)


def test_another_wording_is_refused():
    with pytest.raises(InputError, match='expected "Your task is to ..."'):
        state_knowledge("Buy red shoes.", [])
