"""An expert that searches: it knows where things tend to be, not where they are.

At each step it acts on the same state of knowledge that the text gives the agent, so what it does can be
learnt from the text. Kinds of places are checked in the order of how often such objects are there, per
step that a look costs, and places of one kind in the order in which the room lists them: which one comes next can be
copied from there, and the last one is always number 1. Like ALFWorld's own expert it closes what it opened for nothing.
"""

from collections import Counter

from eval_agent.rules.alfworld_state import APPLIANCES, Household, type_of


class Searcher:
    """``habits``: object type -> Counter of receptacle types; ``hints``: wanted type -> types to try first."""

    def __init__(self, habits: dict[str, Counter], openable: set[str], hints: dict[str, list[str]] | None = None):
        self.habits = habits
        self.openable = openable
        self.hints = hints or {}

    def act(self, house: Household) -> str:
        """The next action; "look" where nothing is left to try."""
        if house.within_reach:
            return f"examine {house.within_reach}"
        if house.holding and not house.holds_goal_object:
            return self._put_down(house)
        if not house.holds_goal_object:
            return self._fetch(house, house.goal.object, "take")
        if house.goal.kind == "examine":
            return self._fetch(house, house.goal.target, "use")
        if house.needs_treatment:
            return self._treat(house)
        return self._deliver(house)

    def _fetch(self, house: Household, kind: str, verb: str) -> str:
        found = house.find(kind)
        if found:
            # what is within reach first, then what was seen last
            name, place = next((f for f in found if f[1] == house.place), found[-1])
            if place != house.place:
                return f"go to {place}"
            if place in house.closed:
                return f"open {place}"
            return f"take {name} from {place}" if verb == "take" else f"use {name}"
        return self._search(house, kind)

    def _search(self, house: Household, kind: str) -> str:
        if house.place in house.closed and house.place not in house.contents:
            return f"open {house.place}"
        if house.place in house.opened:
            return f"close {house.place}"
        left = [place for place in house.receptacles if place not in house.contents]
        return f"go to {self._most_promising(house, kind, left)}" if left else "look"

    def _most_promising(self, house: Household, kind: str, left: list[str]) -> str:
        hinted = self.hints.get(kind, [])

        def merit(place: str) -> tuple:
            place_kind = type_of(place)
            steps = 3 if place_kind in self.openable else 1
            chance = self.habits[kind][place_kind] / steps
            return place_kind in hinted, chance, place_kind, int(place.rsplit(" ", 1)[1])

        return max(left, key=merit)

    def _treat(self, house: Household) -> str:
        verb = house.goal.kind
        appliance = APPLIANCES[verb]
        if house.place and type_of(house.place) == appliance:
            return f"{verb} {house.holding} with {house.place}"
        places = [place for place in house.receptacles if type_of(place) == appliance]
        return f"go to {places[-1]}" if places else "look"

    def _deliver(self, house: Household) -> str:
        target = self._target(house)
        if target is None:
            return "look"
        if house.place != target:
            return f"go to {target}"
        if target in house.closed:
            return f"open {target}"
        return f"put {house.holding} in/on {target}"

    def _target(self, house: Household) -> str | None:
        """Where the first of two is; else where the agent stands; else an open place before a closed one."""
        if house.goal.kind == "two" and house.placed:
            return house.placed[0][1]
        places = [place for place in house.receptacles if type_of(place) == house.goal.target]
        if house.place in places:
            return house.place
        return places[-1] if places else None

    def _put_down(self, house: Household) -> str:
        if house.place is None:
            return "look"
        if house.place in house.closed:
            return f"open {house.place}"
        return f"put {house.holding} in/on {house.place}"
