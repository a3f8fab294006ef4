"""One episode: the plain agent, or the agent planning with the world knowledge model (paper, Eq. 11-13).

Knows the two dialogues and the planner's order of calls; of models, games and the state base only their
interfaces. State knowledge stays in the world model's dialogue and never enters the agent's, but for the
ablation "explicit state".
"""

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from eval_agent.agents.base import ContextOverflow, LMAgent, ModelError
from eval_agent.envs import BaseEnv, EnvError, with_restarts
from eval_agent.errors import InputError
from eval_agent.knowledge import planner
from eval_agent.knowledge.state_base import FIRST_PRE_ACTION, StateBase
from eval_agent.tasks.base import Task
from eval_agent.trajectories.dialogue import action_path, sharegpt, shown
from eval_agent.trajectories.format import ACTION, OBSERVATION, action_of, action_verb

NO_ACTION = 'No action found. Answer in the form "Thought: your reasoning", new line, "Action: your command".'
REFLECTION = "Reflection on your earlier trial: "
# a model that plays on alone would write the observation itself
_AFTER_ACTION = "\nObservation"
# what may befall an episode without a fault in this program: it is tried again by the next run
_TECHNICAL = (ModelError, EnvError, InputError)


class Crashed(Exception):
    """A fault of this program ended the episode; ``result`` is what its file holds, the traceback with it."""

    def __init__(self, result: dict):
        super().__init__(result["meta"]["task_id"])
        self.result = result


@dataclass(frozen=True)
class Agent:
    """The agent model with its instruction and sampling settings, and what it is told beside observations."""

    model: LMAgent
    instruction: str
    temperature: float
    max_new_tokens: int
    task_knowledge: str | None = None  # one text for the whole benchmark, in place of the world model's
    lower_case_actions: bool = False  # the task's rule
    action_path: bool = False  # KnowAgent: each turn ends with the path of the actions so far
    trials: int = 1  # Reflexion: a failed one is followed by a reflection and another one
    reflection: str | None = None  # the instruction to reflect


@dataclass(frozen=True)
class Planner:
    """The base that state knowledge queries, and the settings of Eq. 11-13."""

    state_base: StateBase
    gamma: float
    n_neighbours: int
    verbs: list[str]  # A_u


@dataclass(frozen=True)
class WorldModel:
    """The world knowledge model, and where its knowledge goes: first turn, planner, the agent's context."""

    model: LMAgent
    instruction: str
    temperature: float
    max_task_tokens: int
    max_state_tokens: int
    tells_task: bool = True
    planner: Planner | None = None
    tells_state: bool = False  # "explicit state": into the agent's context, without a planner


def run_episode(env: BaseEnv, task: Task, split: str, agent: Agent, world_model: WorldModel | None,
                max_steps: int) -> dict:
    """Play ``task`` and give its result file's content; with ``world_model`` None the agent plays alone.

    A full context of the agent ends it unsuccessfully; a model or env that fails leaves ``finished`` False with
    ``error`` set, to be tried again. An episode whose env is lost starts again in another one. With several trials
    the result is the last one's; "trials" holds the failed ones before it, each with the reflection on it. Raises
    Crashed for any other exception.
    """
    failed: list[dict] = []
    result = _trial(_Episode(env, agent, world_model, max_steps), task, split)
    while not result["meta"]["success"] and result["meta"]["finished"] and len(failed) + 1 < agent.trials:
        try:
            turns = [turn["value"] for turn in result["conversations"]]
            reflection = reflect(partial(_generate, agent, stop=[]), agent.reflection, turns)
        except _TECHNICAL as fault:
            result["meta"] |= _broken(fault)
            break
        failed.append({**result, "reflection": reflection})
        reflections = [trial["reflection"] for trial in failed]
        result = _trial(_Episode(env, agent, world_model, max_steps, reflections), task, split)
    return {**result, "trials": failed} if agent.trials > 1 else result


def _trial(episode: "_Episode", task: Task, split: str) -> dict:
    """Play ``episode`` to its end, whichever it is, and give what its result file holds."""
    started = time.monotonic()
    outcome: dict = {"finished": True, "error": None}
    try:
        outcome["terminate_reason"] = with_restarts(partial(episode.play, task))
    except ContextOverflow:
        outcome["terminate_reason"] = "context_overflow"
    except _TECHNICAL as fault:
        outcome = _broken(fault)
    except Exception as fault:
        result = _result(episode, task, split, _broken(fault), started)
        raise Crashed({**result, "traceback": traceback.format_exc()}) from fault
    return _result(episode, task, split, outcome, started)


def _result(episode: "_Episode", task: Task, split: str, outcome: dict, started: float) -> dict:
    meta = {
        "task_id": task.task_id,
        "task_type": task.task_type,
        "split": split,
        "steps": episode.steps,
        "reward": episode.reward,
        "finished": outcome["finished"],
        "success": episode.success,
        "terminate_reason": outcome["terminate_reason"],
        "error": outcome["error"],
        "invalid_actions": episode.invalid_actions,
        "seconds": round(time.monotonic() - started, 3),
    }
    world = episode.world
    return {
        "meta": meta,
        "conversations": _sharegpt(episode.messages),
        "world_model_conversations": _sharegpt(world.messages) if world else [],
        "decisions": episode.decisions,
    }


def _broken(fault: Exception) -> dict:
    return {"finished": False, "terminate_reason": "error", "error": f"{type(fault).__name__}: {fault}"}


def _opening(instruction: str) -> list[dict]:
    return [{"role": "user", "content": instruction}, {"role": "assistant", "content": "OK"}]


def _sharegpt(messages: list[dict]) -> list[dict]:
    return sharegpt([message["content"] for message in messages])


def first_action_only(reply: str) -> str:
    """``reply`` up to the end of its first action line: what follows was not asked for."""
    before, found, after = reply.strip().partition(ACTION)
    return before + found + (" " + after.strip().splitlines()[0].strip() if after.strip() else "")


@dataclass
class _WorldDialogue:
    """The world model's own history; once it is full, the model stays silent."""

    side: WorldModel
    messages: list[dict] = field(default_factory=list)
    full: bool = False

    def ask(self, content: str, max_new_tokens: int) -> str | None:
        """The knowledge, on one line, that the model writes after ``content``; None without room for it."""
        if self.full:
            return None
        asked = [*self.messages, {"role": "user", "content": content}]
        try:
            text = self.side.model.generate(
                asked, temperature=self.side.temperature, max_new_tokens=max_new_tokens
            )
        except ContextOverflow:
            self.full = True
            return None
        knowledge = " ".join(text.split())
        self.messages = [*asked, {"role": "assistant", "content": knowledge}]
        return knowledge


class _Episode:
    """One trial; :meth:`play` begins it afresh each time."""

    def __init__(self, env: BaseEnv, agent: Agent, world_model: WorldModel | None, max_steps: int,
                 reflections: Sequence[str | None] = ()):
        self.env = env
        self.agent = agent
        self.side = world_model
        self.max_steps = max_steps
        self.reflections = [REFLECTION + text for text in reflections if text]
        self._begin()

    def _begin(self) -> None:
        self.world = _WorldDialogue(self.side, _opening(self.side.instruction)) if self.side else None
        self.messages = _opening(self.agent.instruction)
        self.heard = ""  # the last observation, without what is added to it in the agent's context
        self.decisions: list[dict] = []
        self.actions: list[str] = []
        self.pre_action = FIRST_PRE_ACTION
        self.asked_back = False
        self.steps = self.invalid_actions = 0
        self.reward = 0.0
        self.success = False

    def play(self, task: Task) -> str:
        """Play to the end and give the reason for it: success, ended, or max_steps."""
        self._begin()
        task_text = self.env.reset(task)
        self._hear(task_text, self._task_knowledge(task_text), *self.reflections)
        while self.steps < self.max_steps:
            reply = self._reply()
            self.messages.append({"role": "assistant", "content": reply})
            observation, done = self._execute(self._action_in(reply))
            self._hear(OBSERVATION + observation)
            if done:
                return "success" if self.success else "ended"
        return "max_steps"

    def _action_in(self, reply: str) -> str | None:
        return action_of(reply, self.agent.lower_case_actions)

    def _hear(self, content: str, *additions: str | None) -> None:
        path = action_path(self.actions) if self.agent.action_path else None
        self.heard = content
        self.messages.append({"role": "user", "content": shown(content, *additions, path)})

    def _task_knowledge(self, task_text: str) -> str | None:
        """What the agent is told; a world model writes its own in any case: it has learnt to begin with it."""
        known = self.world.ask(task_text, self.side.max_task_tokens) if self.world else None
        if self.agent.task_knowledge:
            return self.agent.task_knowledge
        return known if self.side and self.side.tells_task else None

    def _execute(self, action: str | None) -> tuple[str, bool]:
        """(observation, done) of one step; an answer without action costs a step and changes nothing."""
        self.steps += 1
        if action is None:
            self.invalid_actions += 1
            return NO_ACTION, False
        result = self.env.step(action)
        self.actions.append(action)
        self.pre_action = action
        self.asked_back = result.asks_back
        self.reward, self.success = result.reward, result.success
        self.invalid_actions += not result.valid
        return result.observation, result.done

    def _reply(self) -> str:
        """Thought and action; state knowledge takes part from the second step on, where it does at all."""
        if self.side and self.side.planner and self.steps:
            return self._planned_reply()
        if self.side and self.side.tells_state and self.steps:
            return self._informed_reply()
        return self._plain_reply()

    def _plain_reply(self, state_knowledge: str | None = None) -> str:
        """Thought and action as the agent writes them."""
        reply = first_action_only(_generate(self.agent, self.messages, [_AFTER_ACTION]))
        if self.world is not None:
            self._record(action_verb(self._action_in(reply) or ""), state_knowledge)
        return reply

    def _informed_reply(self) -> str:
        """The plain reply, after state knowledge has joined the last observation in the agent's context."""
        known = self._state_knowledge()
        self.messages[-1]["content"] = shown(self.messages[-1]["content"], known)
        return self._plain_reply(known)

    def _state_knowledge(self) -> str | None:
        return self.world.ask(f"{self.messages[-2]['content']}\n{self.heard}", self.side.max_state_tokens)

    def _planned_reply(self) -> str:
        """Thought, the verb of Eq. 13, then the arguments that the agent continues with."""
        with ThreadPoolExecutor(1) as beside:  # neither the state knowledge nor the thought depends on the other
            known = beside.submit(self._state_knowledge)
            # the action follows in any case, also where the model stopped without asking for one
            thought = _generate(self.agent, self.messages, [ACTION, _AFTER_ACTION]).strip()
        opened = f"{thought}\n{ACTION}" if thought else ACTION
        verb = self._choose_verb(opened, known.result())
        opened = f"{opened} {verb}"
        return opened + _generate(self.agent, [*self.messages, _unfinished(opened)], ["\n"]).rstrip()

    def _choose_verb(self, opened: str, state_knowledge: str | None) -> str:
        side = self.side.planner
        candidates = [f" {verb}" for verb in side.verbs]
        scores = self.agent.model.score([*self.messages, _unfinished(opened)], candidates)
        neighbours = []
        if state_knowledge and not self.asked_back:  # which number is meant, no other episode can tell
            neighbours = side.state_base.next_actions(state_knowledge, self.pre_action, side.n_neighbours)
        decision = planner.decide(dict(zip(side.verbs, scores)), neighbours, side.gamma)
        self._record(decision.verb, state_knowledge, decision, len(neighbours))
        return decision.verb

    def _record(self, verb: str, state_knowledge: str | None = None, decision: planner.Decision | None = None,
                n_neighbours: int = 0) -> None:
        self.decisions.append({
            "step": self.steps,
            "pre_action": self.pre_action,
            "state_knowledge": state_knowledge,
            "p_agent": decision and decision.p_agent,
            "p_know": decision and decision.p_know,
            "blend": decision and decision.blend,
            "n_neighbours": n_neighbours,
            "agent_verb": decision.agent_verb if decision else verb,
            "verb": verb,
        })


def _generate(agent: Agent, messages: list[dict], stop: list[str]) -> str:
    return agent.model.generate(
        messages, stop=stop, temperature=agent.temperature, max_new_tokens=agent.max_new_tokens
    )


def _unfinished(content: str) -> dict:
    return {"role": "assistant", "content": content}


LEFT_OUT = "[...]"


def reflect(ask: Callable[[list[dict]], str], instruction: str, turns: list[str]) -> str | None:
    """The reflection, on one line, that ``ask`` gives for a trial's ``turns``, instruction and "OK" first.

    A trial too long for the model's context loses its first half, then half of the rest, until it fits; its
    task stays. None where not even the task fits, or nothing is written.
    """
    task, *turns = turns[2:]
    kept = len(turns)
    while True:
        told = turns[len(turns) - kept:]
        lines = [instruction, task, *([LEFT_OUT] if kept < len(turns) else []), *told]
        try:
            return " ".join(ask([{"role": "user", "content": "\n".join(lines)}]).split()) or None
        except ContextOverflow:
            if kept == 0:
                return None
            kept //= 2
