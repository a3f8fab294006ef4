"""One episode: the plain agent, or the agent planning with the world knowledge model (paper, Eq. 11-13).

Knows the two dialogues and the planner's order of calls; of models, games and the state base only their
interfaces. State knowledge stays in the world model's dialogue and never enters the agent's.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from eval_agent.agents.base import ContextOverflow, LMAgent
from eval_agent.envs import BaseEnv, with_restarts
from eval_agent.knowledge import planner
from eval_agent.knowledge.state_base import FIRST_PRE_ACTION, StateBase
from eval_agent.tasks.base import Task
from eval_agent.trajectory import ACTION, OBSERVATION, action_of, action_verb

NO_ACTION = 'No action found. Answer in the form "Thought: your reasoning", new line, "Action: your command".'
# a model that plays on alone would write the observation itself
_AFTER_ACTION = "\nObservation"


@dataclass(frozen=True)
class Agent:
    """The agent model with its instruction and sampling settings."""

    model: LMAgent
    instruction: str
    temperature: float
    max_new_tokens: int


@dataclass(frozen=True)
class WorldModel:
    """The world knowledge model, the base that its state knowledge queries, and the planner's settings."""

    model: LMAgent
    instruction: str
    temperature: float
    max_task_tokens: int
    max_state_tokens: int
    state_base: StateBase
    gamma: float
    n_neighbours: int
    verbs: list[str]  # A_u
    whole_verb: bool  # p_agent from the log-probability of the whole verb, not of its first token


def run_episode(env: BaseEnv, task: Task, split: str, agent: Agent, world_model: WorldModel | None,
                max_steps: int) -> dict:
    """Play ``task`` and give its result file's content; with ``world_model`` None the agent plays alone.

    Never raises for what goes wrong inside the episode: a full context of the agent ends it unsuccessfully,
    anything technical leaves ``finished`` False with ``error`` set, to be tried again. An episode whose env is
    lost starts again in another one.
    """
    episode = _Episode(env, agent, world_model, max_steps)
    started, error = time.monotonic(), None

    def play_afresh() -> str:
        nonlocal episode
        episode = _Episode(env, agent, world_model, max_steps)
        return episode.play(task)

    try:
        reason = with_restarts(play_afresh)
    except ContextOverflow:
        reason = "context_overflow"
    except Exception as fault:  # one broken episode must not take the other ones with it
        reason, error = "error", f"{type(fault).__name__}: {fault}"
    meta = {
        "task_id": task.task_id,
        "task_type": task.task_type,
        "split": split,
        "steps": episode.steps,
        "reward": episode.reward,
        "finished": error is None,
        "success": episode.success,
        "terminate_reason": reason,
        "error": error,
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


def _opening(instruction: str) -> list[dict]:
    return [{"role": "user", "content": instruction}, {"role": "assistant", "content": "OK"}]


def _sharegpt(messages: list[dict]) -> list[dict]:
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names[message["role"]], "value": message["content"]} for message in messages]


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
    def __init__(self, env: BaseEnv, agent: Agent, world_model: WorldModel | None, max_steps: int):
        self.env = env
        self.agent = agent
        self.max_steps = max_steps
        self.world = _WorldDialogue(world_model, _opening(world_model.instruction)) if world_model else None
        self.messages = _opening(agent.instruction)
        self.decisions: list[dict] = []
        self.pre_action = FIRST_PRE_ACTION
        self.steps = self.invalid_actions = 0
        self.reward = 0.0
        self.success = False

    def play(self, task: Task) -> str:
        """Play to the end and give the reason for it: success, ended, or max_steps."""
        task_text = self.env.reset(task)
        self._hear(self._with_task_knowledge(task_text))
        while self.steps < self.max_steps:
            reply = self._plain_reply() if self.world is None or self.steps == 0 else self._planned_reply()
            self.messages.append({"role": "assistant", "content": reply})
            observation, done = self._execute(action_of(reply))
            self._hear(OBSERVATION + observation)
            if done:
                return "success" if self.success else "ended"
        return "max_steps"

    def _hear(self, content: str) -> None:
        self.messages.append({"role": "user", "content": content})

    def _with_task_knowledge(self, task_text: str) -> str:
        if self.world is None:
            return task_text
        knowledge = self.world.ask(task_text, self.world.side.max_task_tokens)
        return f"{task_text}\n{knowledge}" if knowledge else task_text

    def _execute(self, action: str | None) -> tuple[str, bool]:
        """(observation, done) of one step; an answer without action costs a step and changes nothing."""
        self.steps += 1
        if action is None:
            self.invalid_actions += 1
            return NO_ACTION, False
        result = self.env.step(action)
        self.pre_action = action
        self.reward, self.success = result.reward, result.success
        self.invalid_actions += not result.valid
        return result.observation, result.done

    def _plain_reply(self) -> str:
        """Thought and action as the agent writes them: every step when alone, else only the first."""
        reply = first_action_only(self._generate(self.messages, [_AFTER_ACTION]))
        if self.world is not None:
            self._record(action_verb(action_of(reply) or ""))
        return reply

    def _planned_reply(self) -> str:
        """Thought, the verb of Eq. 13, then the arguments that the agent continues with."""
        heard = f"{self.messages[-2]['content']}\n{self.messages[-1]['content']}"
        with ThreadPoolExecutor(1) as beside:  # neither the state knowledge nor the thought depends on the other
            known = beside.submit(self.world.ask, heard, self.world.side.max_state_tokens)
            # the action follows in any case, also where the model stopped without asking for one
            thought = self._generate(self.messages, [ACTION, _AFTER_ACTION]).strip()
        opened = f"{thought}\n{ACTION}" if thought else ACTION
        verb = self._choose_verb(opened, known.result())
        opened = f"{opened} {verb}"
        return opened + self._generate([*self.messages, _unfinished(opened)], ["\n"]).rstrip()

    def _choose_verb(self, opened: str, state_knowledge: str | None) -> str:
        side = self.world.side
        candidates = [f" {verb}" for verb in side.verbs]
        scores = self.agent.model.score([*self.messages, _unfinished(opened)], candidates)
        logprobs = {
            verb: score.logprob if side.whole_verb else score.first_token_logprob
            for verb, score in zip(side.verbs, scores)
        }
        p_agent = planner.agent_distribution(logprobs)
        neighbours = []
        if state_knowledge:
            neighbours = side.state_base.next_actions(state_knowledge, self.pre_action, side.n_neighbours)
        p_know = planner.knowledge_distribution(neighbours, side.verbs)
        blend = planner.blend(p_agent, p_know, side.gamma)
        verb = planner.choose(blend)
        self._record(verb, state_knowledge, p_agent, p_know, blend, len(neighbours))
        return verb

    def _record(self, verb: str, state_knowledge: str | None = None, p_agent: dict | None = None,
                p_know: dict | None = None, blend: dict | None = None, n_neighbours: int = 0) -> None:
        self.decisions.append({
            "step": self.steps,
            "pre_action": self.pre_action,
            "state_knowledge": state_knowledge,
            "p_agent": p_agent,
            "p_know": p_know,
            "blend": blend,
            "n_neighbours": n_neighbours,
            "verb": verb,
        })

    def _generate(self, messages: list[dict], stop: list[str]) -> str:
        agent = self.agent
        return agent.model.generate(
            messages, stop=stop, temperature=agent.temperature, max_new_tokens=agent.max_new_tokens
        )


def _unfinished(content: str) -> dict:
    return {"role": "assistant", "content": content}
