"""Work over many tasks in several envs at once: threads here, the envs' own processes do the computing."""

import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from eval_agent.envs.process import ProcessEnv
from eval_agent.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_envs(
    env_config: dict, work: Callable[[ProcessEnv, Item], Result], items: Iterable[Item], num_workers: int
) -> Iterator[tuple[Item, Result]]:
    """``(item, work(env, item))`` as they finish, with ``num_workers`` envs.

    The first exception of ``work`` ends it: what has not begun is dropped, the envs are closed. On Ctrl-C, or
    when the caller wants no more, what runs is broken off too. Raises InputError for fewer than one worker.
    """
    if num_workers < 1:
        raise InputError(f"num_workers is {num_workers}, expected at least 1")
    envs: queue.SimpleQueue[ProcessEnv] = queue.SimpleQueue()
    all_envs = [ProcessEnv(env_config) for _ in range(num_workers)]
    for env in all_envs:
        envs.put(env)

    def in_free_env(item: Item) -> Result:
        env = envs.get()
        try:
            return work(env, item)
        finally:
            envs.put(env)

    pool = ThreadPoolExecutor(num_workers)
    try:
        futures = {pool.submit(in_free_env, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except (KeyboardInterrupt, GeneratorExit):
        for env in all_envs:
            env.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for env in all_envs:
            env.close()
