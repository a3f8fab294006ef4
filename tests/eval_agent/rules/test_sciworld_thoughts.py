"""Rule-written thoughts on what the simulator (scienceworld 1.2.3) answers."""

import pytest

from eval_agent.errors import InputError
from eval_agent.rules.sciworld import thought

CONDUCT = ("Task Description:\nYour task is to determine if unknown substance G is electrically conductive. First, "
           "focus on the unknown substance G. If it is electrically conductive, place it in the yellow box. If it is "
           "electrically nonconductive, place it in the orange box.")
MEASURE = ("Task Description:\nYour task is to measure the temperature of unknown substance B, which is located "
           "around the living room. First, focus on the thermometer. If the unknown substance B temperature is above 50.0 degrees "
           "celsius, place it in the green box. If the unknown substance B temperature is below 50.0 degrees celsius, "
           "place it in the blue box. The boxes are located around the bedroom.")
PAINT = ("Task Description:\nYour task is to use chemistry to create orange paint. When you are done, focus on the "
         "orange paint.")
CIRCUIT = [
    ("connect battery anode to red wire terminal 1", "anode on battery is now connected to terminal 1 on red wire"),
    ("connect red wire terminal 2 to cathode in blue light bulb",
     "terminal 2 on red wire is now connected to cathode on blue light bulb"),
    ("wait1", "You decide to wait for 1 iterations."),
]


def workshop(state: str) -> tuple[str, str]:
    return "look around", f"This room is called the workshop. In it, you see: \n\ta blue light bulb, which is {state}"


@pytest.mark.parametrize("task, history, action, expected", [
    (MEASURE, [], "teleport to living room", "The task speaks of it. I teleport to living room."),
    (MEASURE, [], "teleport to kitchen", "I need something from there. I teleport to kitchen."),
    (MEASURE, [("teleport to kitchen", "You teleport to the kitchen.")], "look around",
     "I am in the kitchen. I look around."),
    (MEASURE, [], "use thermometer in inventory on unknown substance B in inventory",
     "I have to know its temperature. I use thermometer in inventory on unknown substance B in inventory."),
    (MEASURE, [("use thermometer on substance B", "the thermometer measures a temperature of 9 degrees celsius")],
     "move unknown substance B in inventory to blue box",
     "It has 9 degrees celsius, which is below 50.0. It has to go there. I move unknown substance B in inventory to "
     "blue box."),
    (CONDUCT, CIRCUIT, "look around", "It may have changed. I look around."),
    (CONDUCT, [*CIRCUIT, workshop("on")], "move unknown substance G to yellow box",
     "The blue light bulb is on, so it is conductive. It has to go there. I move unknown substance G to yellow box."),
    (CONDUCT, [*CIRCUIT, workshop("off")], "move unknown substance G to orange box",
     "Nothing in the circuit is on, so it is nonconductive. It has to go there. I move unknown substance G to orange "
     "box."),
    (PAINT, [], "pour cup containing red paint in art studio in jug",
     "I pour cup containing red paint in art studio in jug."),
    (PAINT, [("mix jug", "Yellow and red paint mix to produce orange paint.")], "focus on orange paint",
     "I have made orange paint. The task wants it. I focus on orange paint."),
    (PAINT, [], "0", "I was asked which one I mean. I take 0."),
    (PAINT, [], "eat soap", "I eat soap."),
    (PAINT, [], "inventory", "I inventory."),
])
def test_why_this_action(task, history, action, expected):
    assert thought(task, history, action) == expected


def test_another_wording_is_refused():
    with pytest.raises(InputError, match='expected "Your task is to ..."'):
        thought("Put a mug in the fridge.", [], "look around")
