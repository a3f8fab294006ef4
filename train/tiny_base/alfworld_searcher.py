"""An expert that searches: it knows where things tend to be, not where they are.

At each step it acts on the same state of knowledge that the text gives the agent, so what it does can be
learnt from the text. Kinds of places are checked in the order of how often such objects are there, per
step that a look costs, and places of one kind in the order in which the room lists them: which one comes next can be
copied from there, and the last one is always number 1. Like ALFWorld's own expert it closes what it opened for nothing.
"""

from collections import Counter

from eval_agent.rules.alfworld_state import APPLIANCES, AlfWorldState, type_of


class Searcher:
    """``habits``: object type -> Counter of receptacle types; ``hints``: wanted type -> types to try first."""

    def __init__(self, habits: dict[str, Counter], openable: set[str], hints: dict[str, list[str]] | None = None):
        self.habits = habits
        self.openable = openable
        self.hints = hints or {}

    def act(self, state: AlfWorldState) -> str:
        """The next action; "look" where nothing is left to try."""
        if state.within_reach:
            return f"examine {state.within_reach}"
        if state.holding and not state.holds_goal_object:
            return self._put_down(state)
        if not state.holds_goal_object:
            return self._fetch(state, state.goal.object, "take")
        if state.goal.kind == "examine":
            return self._fetch(state, state.goal.target, "use")
        if state.needs_treatment:
            return self._treat(state)
        return self._deliver(state)

    def _fetch(self, state: AlfWorldState, kind: str, verb: str) -> str:
        found = state.find(kind)
        if found:
            # what is within reach first, then what was seen last
            name, place = next((f for f in found if f[1] == state.place), found[-1])
            if place != state.place:
                return f"go to {place}"
            if place in state.closed:
                return f"open {place}"
            return f"take {name} from {place}" if verb == "take" else f"use {name}"
        return self._search(state, kind)

    def _search(self, state: AlfWorldState, kind: str) -> str:
        if state.place in state.closed and state.place not in state.contents:
            return f"open {state.place}"
        if state.place in state.opened:
            return f"close {state.place}"
        left = [place for place in state.receptacles if place not in state.contents]
        return f"go to {self._most_promising(state, kind, left)}" if left else "look"

    def _most_promising(self, state: AlfWorldState, kind: str, left: list[str]) -> str:
        hinted = self.hints.get(kind, [])

        def merit(place: str) -> tuple:
            place_kind = type_of(place)
            steps = 3 if place_kind in self.openable else 1
            chance = self.habits[kind][place_kind] / steps
            return place_kind in hinted, chance, place_kind, int(place.rsplit(" ", 1)[1])

        return max(left, key=merit)

    def _treat(self, state: AlfWorldState) -> str:
        verb = state.goal.kind
        appliance = APPLIANCES[verb]
        if state.place and type_of(state.place) == appliance:
            return f"{verb} {state.holding} with {state.place}"
        places = [place for place in state.receptacles if type_of(place) == appliance]
        return f"go to {places[-1]}" if places else "look"

    def _deliver(self, state: AlfWorldState) -> str:
        target = self._target(state)
        if target is None:
            return "look"
        if state.place != target:
            return f"go to {target}"
        if target in state.closed:
            return f"open {target}"
        return f"put {state.holding} in/on {target}"

    def _target(self, state: AlfWorldState) -> str | None:
        """Where the first of two is; else where the agent stands; else an open place before a closed one."""
        if state.goal.kind == "two" and state.placed:
            return state.placed[0][1]
        places = [place for place in state.receptacles if type_of(place) == state.goal.target]
        if state.place in places:
            return state.place
        return places[-1] if places else None

    def _put_down(self, state: AlfWorldState) -> str:
        if state.place is None:
            return "look"
        if state.place in state.closed:
            return f"open {state.place}"
        return f"put {state.holding} in/on {state.place}"
