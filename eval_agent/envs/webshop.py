"""The published WebShop in text mode as an env, without its web server, its JVM and its memory.

The reward is that of the purchase, which ends the episode; success is reward 1.0. An impossible action shows the same
page again, and so may a possible one (choosing an option): ``valid`` comes from the page's own targets.
"""

from eval_agent.envs.base import BaseEnv, ExpertFailed, StepResult
from eval_agent.tasks.webshop import WebShopTask
from eval_agent.webshop import (
    analyser,
    build,
    catalogue,
    expert,
    goals,
    nouns,
    pages,
    porter,
    request,
    reward,
    search,
    store,
)
from eval_agent.webshop.pages import Session
from eval_agent.webshop.store import Shop


class WebShopEnv(BaseEnv):
    """Visits to one shop after the other; it keeps the shop that it used last."""

    packages = ("thefuzz", "rapidfuzz", "numpy")
    modules = (analyser, build, catalogue, expert, goals, nouns, pages, porter, request, reward, search, store)

    def __init__(self):
        self._shop: Shop | None = None
        self._session: Session | None = None

    def reset(self, task: WebShopTask) -> str:
        self._session = Session(self._open(task), task.goal)
        return self._session.reset()

    def step(self, action: str) -> StepResult:
        turn = self._session.step(action)
        return StepResult(
            turn.text, turn.reward, turn.done, success=turn.reward == 1.0, valid=turn.valid,
            reward_parts=turn.info or None,
        )

    def expert(self, task: WebShopTask, max_steps: int) -> list[str]:
        try:
            return expert.expert_actions(self._open(task), task.goal, max_steps)
        except expert.NoWay as error:
            raise ExpertFailed(str(error)) from None

    def _open(self, task: WebShopTask) -> Shop:
        if self._shop is None or str(self._shop.folder) != task.store:
            self.close()
            self._shop = Shop.open(task.store)
        return self._shop

    def close(self) -> None:
        if self._shop is not None:
            self._shop.close()
            self._shop = None
