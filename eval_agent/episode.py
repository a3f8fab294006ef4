"""One episode: the plain agent, or the agent planning with the world knowledge model (paper, Eq. 11-13).

Knows the two dialogues and the planner's order of calls; of models, games and the state base only their interfaces.
State knowledge stays in the world model's dialogue and never enters the agent's, but for the ablation "explicit
state". Reflexion's trials are episodes one after the other, with a reflection between them.
"""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError
from eval_agent.envs import BaseEnv, EnvError, with_restarts
from eval_agent.errors import InputError
from eval_agent.files import clean_text
from eval_agent.knowledge import planner
from eval_agent.knowledge.state_base import FIRST_PRE_ACTION, StateBase
from eval_agent.tasks.base import Task
from eval_agent.trajectories.dialogue import action_path, sharegpt, shown
from eval_agent.trajectories.format import OBSERVATION, action_verb, one_line
from eval_agent.trajectories.reply import ACTION, Reply, is_reasoning, parse_reply, thought_of, without_reasoning

NO_ACTION = 'No action found. Answer in the form "Thought: your reasoning", new line, "Action: your command".'
REFLECTION = "Reflection on your earlier trial: "
LEFT_OUT = "[...]"
NEXT_ACTIONS = 10  # of the neighbours', the most frequent ones that a result keeps: N may be thousands
# a model that plays on alone would write the observation itself
_AFTER_ACTION = "\nObservation"
_BEFORE_ACTION = "\n" + ACTION
# what may befall an episode without a fault in this program: it is tried again by the next run
_TECHNICAL = (ModelError, EnvError, InputError)


@dataclass(frozen=True)
class Agent:
    """The agent model with its instruction and sampling settings, and what it reads beside observations."""

    model: LMAgent
    instruction: str
    temperature: float
    max_new_tokens: int
    task_knowledge: str | None = None  # one text for the whole benchmark, in place of the world model's
    lower_case_actions: bool = False  # the task's rule
    action_path: bool = False  # KnowAgent: each turn ends with the path of the actions so far
    trials: int = 1  # Reflexion: a failed one is followed by a reflection and another one
    reflection: str | None = None  # the instruction to reflect

    def generate(self, messages: list[dict], stop: Sequence[str] = ()) -> str:
        """The new text up to ``stop``, which counts only once the model has ended its reasoning, if it has any."""
        text = self._ask(messages, stop)
        return self._ask(messages) if stop and is_reasoning(text) else text

    def _ask(self, messages: list[dict], stop: Sequence[str] = ()) -> str:
        return self.model.generate(
            messages, stop=list(stop), temperature=self.temperature, max_new_tokens=self.max_new_tokens
        )


@dataclass(frozen=True)
class Planner:
    """The base that state knowledge queries, and the settings of Eq. 11-13."""

    state_base: StateBase
    gamma: float
    n_neighbours: int
    verbs: list[str]  # A_u
    min_similarity: float | None = None
    agent_temperature: float = 1.0
    only_when_stuck: bool = False


@dataclass(frozen=True)
class WorldModel:
    """The world knowledge model, and where its knowledge goes: first turn, planner, the agent's context."""

    model: LMAgent
    instruction: str
    temperature: float
    max_task_tokens: int
    max_state_tokens: int
    task_to_agent: bool = True
    planner: Planner | None = None
    state_to_agent: bool = False  # "explicit state": into the agent's context, without a planner


class Crashed(Exception):
    """A fault of this program ended the episode; ``result`` is what its file holds, the traceback with it."""

    def __init__(self, result: dict):
        super().__init__(result["meta"]["task_id"])
        self.result = result


def run_episode(env: BaseEnv, task: Task, split: str, agent: Agent, world_model: WorldModel | None,
                max_steps: int) -> dict:
    """Play ``task`` and give its result file's content; with ``world_model`` None the agent plays alone.

    A full context of the agent ends it unsuccessfully; a model or env that fails leaves ``finished`` False with
    ``error`` set, to be tried again. An episode whose env is lost starts again in another one. With several trials
    the result is the last one's; "trials" holds the failed ones before it, each with the reflection on it. Raises
    Crashed for any other exception.
    """
    failed: list[dict] = []
    while True:
        reflections = [trial["reflection"] for trial in failed if trial["reflection"]]
        result = _trial(Episode(env, agent, world_model, max_steps, reflections), task, split)
        if result["meta"]["success"] or not result["meta"]["finished"] or len(failed) + 1 == agent.trials:
            break
        try:
            turns = [turn["value"] for turn in result["conversations"]]
            failed.append({**result, "reflection": reflect(agent.generate, agent.reflection, turns)})
        except _TECHNICAL as fault:
            result["meta"] |= _broken(fault)
            break
    return {**result, "trials": failed} if agent.trials > 1 else result


def _trial(episode: "Episode", task: Task, split: str) -> dict:
    """Play ``episode`` to its end, whichever it is, and give what its result file holds."""
    started = time.monotonic()
    outcome: dict = {"finished": True, "error": None}
    try:
        outcome["terminate_reason"] = with_restarts(partial(episode.run, task))
    except ContextOverflow:
        outcome["terminate_reason"] = "context_overflow"
    except _TECHNICAL as fault:
        outcome = _broken(fault)
    except Exception as fault:
        result = _result(episode, task, split, _broken(fault), started)
        raise Crashed({**result, "traceback": traceback.format_exc()}) from fault
    return _result(episode, task, split, outcome, started)


def _broken(fault: Exception) -> dict:
    return {"finished": False, "terminate_reason": "error", "error": f"{type(fault).__name__}: {fault}"}


def _result(episode: "Episode", task: Task, split: str, outcome: dict, started: float) -> dict:
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
        "invalid_actions": len(episode.invalid_steps),
        "repaired_replies": episode.repaired_replies,
        "replaced_characters": episode.replaced_characters + (episode.world.replaced_characters if episode.world else 0),
        "seconds": round(time.monotonic() - started, 3),
        **({"reward_parts": episode.reward_parts} if episode.reward_parts else {}),
    }
    return {
        "meta": meta,
        "conversations": _sharegpt(episode.messages),
        "world_model_conversations": _sharegpt(episode.world.messages) if episode.world else [],
        "decisions": episode.decisions,
        "invalid_steps": episode.invalid_steps,
    }


def _sharegpt(messages: list[dict]) -> list[dict]:
    return sharegpt([message["content"] for message in messages])


def _opening(instruction: str) -> list[dict]:
    return [{"role": "user", "content": instruction}, {"role": "assistant", "content": "OK"}]


def _prefill(content: str) -> dict:
    """A reply that the model is to continue."""
    return {"role": "assistant", "content": content}


@dataclass
class _WorldDialogue:
    """The world model's own history; once it is full, the model stays silent."""

    world_model: WorldModel
    messages: list[dict] = field(default_factory=list)
    full: bool = False
    replaced_characters: int = 0

    def ask(self, content: str, max_new_tokens: int) -> str | None:
        """The knowledge, on one line, that the model writes after ``content``; None without room for it."""
        if self.full:
            return None
        asked = [*self.messages, {"role": "user", "content": content}]
        try:
            text = self.world_model.model.generate(
                asked, temperature=self.world_model.temperature, max_new_tokens=max_new_tokens
            )
        except ContextOverflow:
            self.full = True
            return None
        text, replaced = clean_text(text)
        self.replaced_characters += replaced
        knowledge = one_line(without_reasoning(text))
        self.messages = [*asked, {"role": "assistant", "content": knowledge}]
        return knowledge


class Episode:
    """One trial; :meth:`run` begins it afresh each time."""

    def __init__(self, env: BaseEnv, agent: Agent, world_model: WorldModel | None, max_steps: int,
                 reflections: Sequence[str] = ()):
        self.env = env
        self.agent = agent
        self.world_model = world_model
        self.max_steps = max_steps
        self.reflections = [REFLECTION + text for text in reflections]
        self._begin()

    def _begin(self) -> None:
        world_model = self.world_model
        self.world = _WorldDialogue(world_model, _opening(world_model.instruction)) if world_model else None
        self.messages = _opening(self.agent.instruction)
        self.observation = ""  # the last one, without what is added to it in the agent's context
        self.decisions: list[dict] = []
        self.actions: list[str] = []
        self.pre_action = FIRST_PRE_ACTION
        self.asked_back = False
        self.invalid_steps: list[int] = []  # counted from 0
        self.refused: set[str] = set()  # since the last action that was not: they left the state as it is
        self.steps = self.repaired_replies = self.replaced_characters = 0
        self.reward = 0.0
        self.reward_parts: dict | None = None
        self.success = False

    def run(self, task: Task) -> str:
        """Play to the end and give the reason for it: success, ended, or max_steps."""
        self._begin()
        task_text = self.env.reset(task)
        self._observe(task_text, self._task_knowledge(task_text), *self.reflections)
        while self.steps < self.max_steps:
            reply = self._reply()
            self.repaired_replies += reply.repaired
            self.messages.append({"role": "assistant", "content": reply.text})
            observation, done = self._execute(self._action_in(reply))
            self._observe(OBSERVATION + observation)
            if done:
                return "success" if self.success else "ended"
        return "max_steps"

    def _task_knowledge(self, task_text: str) -> str | None:
        """What the agent reads; a world model writes its own in any case: it has learnt to begin with it."""
        known = self.world.ask(task_text, self.world_model.max_task_tokens) if self.world else None
        if self.agent.task_knowledge:
            return self.agent.task_knowledge
        return known if self.world and self.world_model.task_to_agent else None

    def _observe(self, observation: str, *additions: str | None) -> None:
        path = action_path(self.actions) if self.agent.action_path else None
        self.observation = observation
        self.messages.append({"role": "user", "content": shown(observation, *additions, path)})

    def _reply(self) -> Reply:
        """Thought and action; state knowledge takes part from the second step on, where it does at all."""
        if self.steps and self.world and self.world_model.planner:
            return self._planned_reply(self.world_model.planner)
        if self.steps and self.world and self.world_model.state_to_agent:
            known = self._state_knowledge()
            self.messages[-1]["content"] = shown(self.messages[-1]["content"], known)
            return self._plain_reply(known)
        return self._plain_reply()

    def _plain_reply(self, state_knowledge: str | None = None) -> Reply:
        """Thought and action as the agent writes them."""
        reply = parse_reply(self._say(self.messages, [_AFTER_ACTION]))
        if self.world:
            self._record(action_verb(self._action_in(reply) or ""), state_knowledge)
        return reply

    def _planned_reply(self, settings: Planner) -> Reply:
        """Thought, the verb of Eq. 13, then the arguments that the agent continues with."""
        with ThreadPoolExecutor(1) as beside:  # neither the state knowledge nor the thought depends on the other
            known = beside.submit(self._state_knowledge)
            written = self._say(self.messages, [_BEFORE_ACTION, _AFTER_ACTION]).strip()
        # the action follows in any case, also where the model stopped without asking for one
        thought = thought_of(written)
        begun = f"{thought}\n{ACTION}" if thought else ACTION
        choose = self._way_out if settings.only_when_stuck else self._blended
        reply = choose(settings, begun, known.result())
        return replace(reply, repaired=reply.repaired or thought != written)

    def _blended(self, settings: Planner, begun: str, state_knowledge: str | None) -> Reply:
        """The action of Eq. 13."""
        decision, neighbours = self._decide(settings, self._scores(settings, begun), state_knowledge)
        self._record(decision.verb, state_knowledge, decision, neighbours)
        return self._continued(begun, decision.verb)

    def _way_out(self, settings: Planner, begun: str, state_knowledge: str | None) -> Reply:
        """The agent's own action; if it was refused in this state before, that of Eq. 13 over the other verbs, and so on."""
        scores = self._scores(settings, begun)
        decision, neighbours = planner.decide(scores, [], settings.gamma, settings.agent_temperature), []
        own = decision.agent_verb
        reply = self._continued(begun, own)
        while self._action_in(reply) in self.refused and len(scores) > 1:
            scores = {verb: score for verb, score in scores.items() if verb != decision.verb}
            decision, neighbours = self._decide(settings, scores, state_knowledge)
            reply = self._continued(begun, decision.verb)
        self._record(decision.verb, state_knowledge, replace(decision, agent_verb=own), neighbours)
        return reply

    def _continued(self, begun: str, verb: str) -> Reply:
        """What the agent makes of ``begun`` and the verb after it."""
        begun = f"{begun} {verb}"
        return parse_reply(begun + self._say([*self.messages, _prefill(begun)], ["\n"]))

    def _say(self, messages: list[dict], stop: Sequence[str]) -> str:
        """What the agent writes, without halves of characters, which no file can hold."""
        text, replaced = clean_text(self.agent.generate(messages, stop))
        self.replaced_characters += replaced
        return text

    def _state_knowledge(self) -> str | None:
        last_step = f"{self.messages[-2]['content']}\n{self.observation}"
        return self.world.ask(last_step, self.world_model.max_state_tokens)

    def _scores(self, settings: Planner, begun: str) -> dict[str, CandidateScore]:
        candidates = [f" {verb}" for verb in settings.verbs]
        return dict(zip(settings.verbs, self.agent.model.score([*self.messages, _prefill(begun)], candidates)))

    def _decide(self, settings: Planner, scores: dict[str, CandidateScore],
                state_knowledge: str | None) -> tuple[planner.Decision, list[str]]:
        """Eq. 11-13 over the verbs in ``scores``, and the retrieved next actions."""
        neighbours = []
        if state_knowledge and not self.asked_back:  # which number is meant, no other episode can tell
            failed = self.steps - 1 in self.invalid_steps
            neighbours = settings.state_base.next_actions(
                state_knowledge, self.pre_action, settings.n_neighbours, failed, settings.min_similarity
            )
        return planner.decide(scores, neighbours, settings.gamma, settings.agent_temperature), neighbours

    def _action_in(self, reply: Reply) -> str | None:
        return reply.action.lower() if reply.action and self.agent.lower_case_actions else reply.action

    def _execute(self, action: str | None) -> tuple[str, bool]:
        """(observation, done) of one step; a reply without action costs a step and changes nothing."""
        self.steps += 1
        if action is None:
            self.invalid_steps.append(self.steps - 1)
            return NO_ACTION, False
        result = self.env.step(action)
        self.actions.append(action)
        self.pre_action, self.asked_back = action, result.asks_back
        self.reward, self.success, self.reward_parts = result.reward, result.success, result.reward_parts
        if result.valid:
            self.refused.clear()
        else:
            self.refused.add(action)
            self.invalid_steps.append(self.steps - 1)
        return result.observation, result.done

    def _record(self, verb: str, state_knowledge: str | None = None, decision: planner.Decision | None = None,
                neighbours: Sequence[str] = ()) -> None:
        self.decisions.append({
            "step": self.steps,
            "pre_action": self.pre_action,
            "state_knowledge": state_knowledge,
            "p_agent": decision and decision.p_agent,
            "p_know": decision and decision.p_know,
            "blend": decision and decision.blend,
            "n_neighbours": len(neighbours),
            "next_actions": dict(Counter(neighbours).most_common(NEXT_ACTIONS)),
            "agent_verb": decision.agent_verb if decision else verb,
            "verb": verb,
        })


def reflect(ask: Callable[[list[dict]], str], instruction: str, turns: list[str]) -> str | None:
    """Reflexion: the reflection, on one line, that ``ask`` gives for a trial's ``turns``, instruction and "OK" first.

    A trial too long for the model's context loses its first half, then half of the rest, until it fits; its
    task stays. None where not even the task fits, or nothing is written.
    """
    task, *turns = turns[2:]
    kept = len(turns)
    while True:
        lines = [instruction, task, *([LEFT_OUT] if kept < len(turns) else []), *turns[len(turns) - kept:]]
        try:
            written, _ = clean_text(ask([{"role": "user", "content": "\n".join(lines)}]))
            return one_line(without_reasoning(written)) or None
        except ContextOverflow:
            if kept == 0:
                return None
            kept //= 2
