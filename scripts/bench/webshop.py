"""Cost of WebShop by number of products (see the .sh).

    bash scripts/bench/webshop.sh --sizes 1000 10000 --envs 32

The published environment's 27 ms of CPU a call, measured on the 1,000 products, is what steps are compared with.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil

from eval_agent.command_line import Parser
from eval_agent.envs import ProcessEnv
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import read_json
from eval_agent.tasks.webshop import WebShopTask
from eval_agent.webshop.build import build_store
from eval_agent.webshop.catalogue import raw_attributes, raw_records
from eval_agent.webshop.check import product_files
from eval_agent.webshop.goals import Goal, shuffled, synthetic_goals
from eval_agent.webshop.pages import Session
from eval_agent.webshop.store import Shop

PUBLISHED_MS = 27.0  # CPU a call
_QUERIES = 2_000
_EPISODES = 200


def vary(products: list[dict], attributes: dict[str, dict], number: int, folder: Path) -> tuple[Path, Path]:
    """A product file of ``number`` records and its attributes: the given ones first, then varied copies."""
    generator = random.Random(0)
    files = folder / f"products_{number}.json", folder / f"attributes_{number}.json"
    with open(files[0], "w", encoding="utf-8") as out, open(files[1], "w", encoding="utf-8") as entries:
        for index in range(number):
            record = products[index % len(products)]
            entry = attributes.get(record["asin"], {})
            if index >= len(products):
                record = _varied(record, index, products, generator)
            out.write(("[" if index == 0 else ",\n") + json.dumps(record))
            entries.write(("{" if index == 0 else ",\n") + f'{json.dumps(record["asin"])}: {json.dumps(entry)}')
        out.write("]")
        entries.write("}")
    return files


def _varied(record: dict, index: int, products: list[dict], generator: random.Random) -> dict:
    """Another id and model number, some words of another product in title and description, some words less."""
    other = generator.choice(products)
    return {
        **record, "asin": f"V{index:09d}",
        "name": f"{_mixed(record['name'], other['name'], generator)} M{generator.randrange(10 * index):X}",
        "full_description": _mixed(record["full_description"], other["full_description"], generator),
    }


def _mixed(text: str, other: str, generator: random.Random) -> str:
    words = [word for word in text.split(" ") if generator.random() > 0.1]
    strange = other.split(" ")
    return " ".join(words + generator.sample(strange, min(len(strange), len(words) // 5)))


def measure_build(files: tuple[Path, Path], folder: Path, nouns: str | None) -> dict:
    """Build in a process of its own, whose memory is watched."""
    command = [sys.executable, "-m", "scripts.bench.webshop", "--build", *map(str, files), str(folder)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen([*command, *(["--nouns", nouns] if nouns else [])])
    peak: list[int] = []
    watch = threading.Thread(target=_watch, args=(child, peak))
    watch.start()
    if child.wait():
        raise InputError("the build failed")
    seconds = time.perf_counter() - began
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {"seconds": seconds, "cpu": cpu, "peak": max(peak), "store": size, "file": files[0].stat().st_size}


def _watch(child: subprocess.Popen, peak: list[int]) -> None:
    """The memory of a process and all its children (PSS), a few times a second."""
    while child.poll() is None:
        total = 0
        for process in _family(child.pid):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        peak.append(total)
        time.sleep(0.3)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def queries(goals: list[Goal], products: list, generator: random.Random) -> Iterator[str]:
    """Half instructions, as agents search; the rest parts of titles."""
    for number in range(_QUERIES):
        if number % 2:
            yield generator.choice(goals).instruction.lower()
        else:
            words = generator.choice(products).title.lower().split() or ["x"]
            yield " ".join(generator.sample(words, min(len(words), generator.randint(1, 8))))


def timed(call: Callable, *arguments) -> tuple[float, object]:
    """(milliseconds, value)."""
    began = time.perf_counter()
    value = call(*arguments)
    return 1000 * (time.perf_counter() - began), value


def measure_shop(folder: Path) -> tuple[dict, list[Goal]]:
    """Searches, and episodes of random clicks, in this process."""
    generator = random.Random(1)
    shop = Shop.open(folder)
    sample = [product for _, product in zip(range(5_000), shop.products())]
    goals = shuffled(synthetic_goals(sample[:1_000]))
    asked = list(queries(goals, sample, generator))
    for query in asked[:200]:  # the pages of the file that any run has read before long
        shop.search(query)
    times = sorted(timed(shop.search, query)[0] for query in asked)
    clicks, buys, calls, cpu = [], [], 0, time.process_time()
    for number in range(_EPISODES):
        session = Session(shop, goals[number])
        session.step(f"search[{goals[number].instruction}]")
        calls += 2
        for action in _visit(session, shop, generator):
            took, turn = timed(session.step, action)
            calls += 1
            (buys if turn.done else clicks).append(took)
    cpu = time.process_time() - cpu
    return {
        "query_p50": statistics.median(times), "query_p99": times[int(0.99 * len(times))],
        "click": statistics.fmean(clicks), "buy": statistics.fmean(buys), "call_cpu": 1000 * cpu / calls,
    }, goals


def _visit(session: Session, shop: Shop, generator: random.Random) -> Iterator[str]:
    """A product of the page, its sub pages, some options, and the purchase."""
    asin = generator.choice([target.upper() for target in session.clickable if target.upper() in shop])
    yield f"click[{asin}]"
    for name in ("description", "< prev", "features", "< prev"):
        yield f"click[{name}]"
    for values in shop.product(asin).options.values():
        yield f"click[{generator.choice(values)}]"
    yield "click[buy now]"


def measure_envs(folder: Path, goals: list[Goal], number: int) -> dict:
    """Start ``number`` env processes and play an episode in each."""
    tasks = [WebShopTask(f"webshop_{n}", goal.category, str(folder), goal) for n, goal in enumerate(goals[:number])]
    with ExitStack() as stack:
        envs = [stack.enter_context(ProcessEnv("WebShopEnv")) for _ in range(number)]
        starts = [timed(env.reset, task)[0] for env, task in zip(envs, tasks)]
        steps = []
        for env, task in zip(envs, tasks):
            env.step(f"search[{task.goal.instruction}]")
            steps += [timed(env.step, "click[next >]")[0], timed(env.step, "click[< prev]")[0]]
            env.step(f"click[{task.goal.asin}]")
            env.step("click[buy now]")
        memory = [psutil.Process(env.pid).memory_full_info() for env in envs]
    return {
        "start": statistics.median(starts), "process_step": statistics.median(steps),
        "uss": statistics.fmean(info.uss for info in memory), "pss": sum(info.pss for info in memory),
    }


def measure(size: int, source: tuple[list[dict], dict], folder: Path, nouns: str | None, n_envs: int) -> dict:
    files = vary(*source, size, folder)
    store = folder / f"store_{size}"
    build = measure_build(files, store, nouns)
    shop, goals = measure_shop(store)
    envs = measure_envs(store, goals, n_envs)
    meta = read_json(store / "meta.json")
    return {
        "products": size, "nouns": meta["nouns"], "terms": meta["n_terms"],
        "build_s": round(build["seconds"], 1), "build_per_s": round(size / build["seconds"]),
        "build_cpu_ms": round(1000 * build["cpu"] / size, 2), "build_peak_mb": round(build["peak"] / 1e6),
        "file_mb": round(build["file"] / 1e6), "store_mb": round(build["store"] / 1e6),
        "query_ms_p50": round(shop["query_p50"], 2), "query_ms_p99": round(shop["query_p99"], 2),
        "step_ms": round(shop["click"], 3), "buy_ms": round(shop["buy"], 3), "call_cpu_ms": round(shop["call_cpu"], 3),
        "times_published": round(PUBLISHED_MS / shop["call_cpu"]), "step_in_process_ms": round(envs["process_step"], 2),
        "env_start_s": round(envs["start"] / 1000, 2), "env_mb": round(envs["uss"] / 1e6), "envs": n_envs,
        "envs_together_mb": round(envs["pss"] / 1e6),
    }


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 200_000], help="numbers of products")
    parser.add_argument("--products", help="product file, or the folder of the 1,000 ($WEBSHOP_DATA)")
    parser.add_argument("--nouns", help='"rule" for title nouns without a model')
    parser.add_argument("--envs", type=int, default=32, help="env processes")
    parser.add_argument("--build", nargs=3, help=argparse.SUPPRESS)  # products, attributes, store: the child
    args = parser.parse_args()
    if args.build:
        build_store(*args.build, args.nouns)
        return
    files = product_files(args.products)
    source = [record.value for record in raw_records(files[0])], dict(raw_attributes(files[1]))
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for size in args.sizes:
            rows.append(measure(size, source, Path(folder), args.nouns, args.envs))
            print(json.dumps(rows[-1]))
    print(json.dumps({**rows[-1], "by_size": rows}))


if __name__ == "__main__":
    main()
