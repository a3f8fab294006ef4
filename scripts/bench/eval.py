"""Steps per second of our serving and loop against the released setup on stock FastChat, or against vLLM (see the .sh).

    bash scripts/bench/eval.sh --size 20m --episodes 16 --steps 12

Both sides serve the same random weights. Ours plays the recorded episodes first, one at a time and then all at
once; the stock side is then asked for the same steps of the first episode in the released code's way: state
knowledge, thought up to "Action:", one token with logprobs, the arguments, each with the whole prompt. With vLLM our
loop plays the same episodes again.
"""

import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
import torch
from peft import LoraConfig, get_peft_model
from transformers import MistralConfig, MistralForCausalLM

from eval_agent.agents.base import LMAgent
from eval_agent.agents.fastchat import FastChatAgent
from eval_agent.agents.replies import Count, Generated
from eval_agent.agents.stock_worker import score as stock_scores
from eval_agent.command_line import Parser
from eval_agent.config import load_task_config, read_instruction
from eval_agent.envs.base import BaseEnv, StepResult
from eval_agent.episode import Agent, Planner, WorldModel, run_episode
from eval_agent.files import write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.planner import agent_distribution
from eval_agent.knowledge.state_base import StateBase, build_cache
from eval_agent.progress import tqdm
from eval_agent.tasks import Task
from eval_agent.trajectories.reply import ACTION
from scripts.bench.eval_vllm import bench_vllm
from scripts.bench.profile_pass import profile_pass
from train.tiny_base.tokenizer import train_tokenizer

OBSERVATIONS = Path(__file__).with_name("observations.json")
RECIPE = "configs/train/mistral.json"  # its chat format: random weights were trained on none
CHAT_FORMAT = ("--conv-template", "mistral")  # FastChat's name of the same
VOCABULARY = 32000
SIZES = {
    "20m": dict(hidden_size=256, intermediate_size=896, num_hidden_layers=4, num_attention_heads=8,
                num_key_value_heads=2),
    "7b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
               num_key_value_heads=8),
}
CONTEXT = 8192
# random weights never end a text: lengths like those of real answers
THOUGHT_TOKENS, STATE_TOKENS, TASK_TOKENS = 24, 48, 64
AGENT, WORLD = "agent_model", "world_model"


class ReplayEnv(BaseEnv):
    """Answers with a recorded episode's observations, whatever the action."""

    def __init__(self, episode: dict):
        self.episode, self.step_number = episode, 0

    def reset(self, task: Task) -> str:
        self.step_number = 0
        return self.episode["task"]

    def step(self, action: str) -> StepResult:
        seen = self.episode["observations"]
        self.step_number += 1
        return StepResult(seen[(self.step_number - 1) % len(seen)], 0.0, False, False, True)

    def close(self) -> None:
        pass


class CountingAgent(FastChatAgent):
    """Counts the tokens that its worker reads and writes."""

    read = written = 0

    def _read(self, worker, response, reply):
        usage = response.json().get("usage", {})
        self.read += usage.get("prefilled_tokens", 0)
        self.written += usage.get("completion_tokens", 0)
        return super()._read(worker, response, reply)


def make_models(folder: Path, size: str, device: str, texts: list[str]) -> None:
    """base/ and peft/agent_model, peft/world_model under ``folder``: random weights, a tokenizer of its own."""
    rng = random.Random(0)
    syllables = [a + b for a in "bcdfghklmnprstvz" for b in "aeiou"]
    words = (" ".join("".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(50)) for _ in range(4000))
    tokenizer = train_tokenizer([*texts, *words], VOCABULARY, CONTEXT)
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        model = MistralForCausalLM(MistralConfig(
            vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, sliding_window=None, pad_token_id=2,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **SIZES[size],
        ))
    model.to(dtype).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    print(f"model: {model.num_parameters() / 1e6:.1f} M parameters, {dtype}, random")
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(model, lora, adapter_name=AGENT)
    model.add_adapter(WORLD, lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    model.peft_config[AGENT].base_model_name_or_path = str(folder / "base")
    model.peft_config[WORLD].base_model_name_or_path = str(folder / "base")
    model.save_pretrained(folder / "peft")  # one folder for each adapter


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    """A FastChat controller and workers as processes, ended with the block."""

    def __init__(self, logs: Path, device: str):
        self.logs, self.device = logs, device
        self.processes: list[subprocess.Popen] = []
        self.controller = self._start("fastchat.serve.controller")

    def worker(self, module: str, *flags: str) -> subprocess.Popen:
        self._start(module, "--controller-address", self.controller, "--device", self.device, *flags)
        return self.processes[-1]

    def _start(self, module: str, *flags: str) -> str:
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        if "model_worker" in module:
            flags = (*flags, "--worker-address", address)
        with (self.logs / f"{module}-{port}.log").open("w") as log:
            command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), *flags]
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=Path.cwd()))
        return address

    def wait_for(self, *models: str) -> None:
        while True:
            assert all(process.poll() is None for process in self.processes), f"a server ended, see {self.logs}"
            try:
                served = requests.post(f"{self.controller}/list_models", timeout=5).json()["models"]
                if set(models) <= set(served):
                    return
            except requests.RequestException:
                pass
            time.sleep(0.3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def peak_mb(process: subprocess.Popen) -> int:
    """Peak resident memory of a process; GPU memory is not in it."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


class Loop:
    """Our loop over the models that ``make_agent`` gives by name; ``agents`` are those of the last run."""

    def __init__(self, make_agent: Callable[[str], LMAgent], folder: Path, steps: int):
        self.make_agent, self.steps = make_agent, steps
        self.config = load_task_config("alfworld", "configs/task")
        self.state_base = StateBase.load(folder / "state_base", load_encoder("wkm-embedding", str(folder / "base")))
        self.agents: list[LMAgent] = []

    def play(self, episode: dict) -> dict:
        agent, world = map(self.make_agent, (AGENT, WORLD))
        self.agents += [agent, world]
        config, planner = self.config, self.config.planner
        result = run_episode(
            ReplayEnv(episode), Task("recorded", "recorded"), "dev",
            Agent(agent, read_instruction(config.agent.instruction), 0.0, THOUGHT_TOKENS),
            WorldModel(
                world, read_instruction(config.world_model.instruction), 0.0, TASK_TOKENS, STATE_TOKENS,
                planner=Planner(
                    self.state_base, planner.gamma, planner.n_neighbours, planner.verbs
                ),
            ),
            self.steps,
        )
        assert result["meta"]["finished"], result["meta"]["error"]
        return result

    def run(self, episodes: list[dict]) -> tuple[list[dict], float]:
        """Play ``episodes`` all at once: results and steps per second."""
        self.agents = []
        started = time.monotonic()
        with ThreadPoolExecutor(len(episodes)) as pool:
            results = list(pool.map(self.play, episodes))
        return results, self.steps * len(episodes) / (time.monotonic() - started)


class Released:
    """The released code's calls to stock workers, for the steps of an episode that ours has played."""

    def __init__(self, controller: str):
        self.agent, self.world = (FastChatAgent(f"stock_{name}", controller, RECIPE) for name in (AGENT, WORLD))

    def ask(self, model: FastChatAgent, messages: list[dict], stop: list[str], limit: int, **more) -> str:
        request = {"prompt": model.template.render(messages), "temperature": 0.0, "max_new_tokens": limit,
                   "stop": [model.template.stop, *stop], "echo": False, **more}
        return model._ask("/worker_generate", request, Generated).text

    def first_step(self, result: dict) -> tuple[bool, float]:
        """Like :meth:`step`, for the task knowledge and the first reply, which is not planned."""
        known = _messages(result["world_model_conversations"])[:4]
        said = _messages(result["conversations"])[:4]
        started = time.monotonic()
        told = self.ask(self.world, known[:-1], [], TASK_TOKENS)
        reply = self.ask(self.agent, said[:-1], ["\nObservation"], THOUGHT_TOKENS)
        seconds = time.monotonic() - started
        return _same((told, known[-1]["content"]), (reply, said[-1]["content"])), seconds

    def step(self, result: dict, step: int) -> tuple[bool, float]:
        """Whether all texts of one planned step are those of ours, and the seconds that its calls took."""
        said = _messages(result["conversations"])[: 4 + 2 * step]
        reply, messages = said[-1]["content"], said[:-1]
        known = _messages(result["world_model_conversations"])[: 4 + 2 * step]
        thought, _, action = reply.partition(f"{ACTION} ")
        opened = {"role": "assistant", "content": f"{thought.strip()}\n{ACTION}"}
        verb = result["decisions"][step]["verb"]
        begun = {"role": "assistant", "content": f"{opened['content']} {verb}"}
        started = time.monotonic()
        state = self.ask(self.world, known[:-1], [], STATE_TOKENS)
        new_thought = self.ask(self.agent, messages, [ACTION, "\nObservation"], THOUGHT_TOKENS)
        self.ask(self.agent, [*messages, opened], [], 1, logprobs=1)
        rest = self.ask(self.agent, [*messages, begun], ["\n"], THOUGHT_TOKENS)
        seconds = time.monotonic() - started
        return _same((state, known[-1]["content"]), (new_thought, thought), (verb + rest, action)), seconds

    def same_distribution(self, result: dict, step: int) -> bool:
        """Whether the stock worker's echoed log-probabilities lead to our p_agent and so to our verb."""
        messages = _messages(result["conversations"])[: 4 + 2 * step]
        opened = messages[-1]["content"].partition(f"{ACTION} ")[0] + ACTION
        decision = result["decisions"][step]
        verbs = list(decision["p_agent"])
        prompt = self.agent.template.render([*messages[:-1], {"role": "assistant", "content": opened}])
        scores = stock_scores(lambda r: self.agent._ask("/worker_generate", r, Generated), prompt, [f" {v}" for v in verbs])
        p_agent = agent_distribution(dict(zip(verbs, scores)))
        return all(abs(p - decision["p_agent"][verb]) < 1e-3 for verb, p in p_agent.items())


def _same(*pairs: tuple[str, str]) -> bool:
    """Spaces do not count: FastChat tidies them around punctuation, which random text has anywhere."""
    return all("".join(a.split()) == "".join(b.split()) for a, b in pairs)


def _messages(conversation: list[dict]) -> list[dict]:
    roles = {"human": "user", "gpt": "assistant"}
    return [{"role": roles[turn["from"]], "content": turn["value"]} for turn in conversation]


def growth(controller: str, episode: dict, lengths: list[int]) -> dict[int, float]:
    """Seconds of one more planned step's model calls for our worker after so many tokens of history."""
    agent = CountingAgent(AGENT, controller, RECIPE)
    world = CountingAgent(WORLD, controller, RECIPE)
    seconds, messages = {}, []
    verbs = [f" {verb}" for verb in load_task_config("alfworld", "configs/task").planner.verbs]
    for length in lengths:
        while _tokens(agent, messages) < length:
            messages += [{"role": "user", "content": f"Observation: {episode['observations'][0]}"},
                         {"role": "assistant", "content": "Thought: I look there.\nAction: go to shelf 1"}]
        for model in (agent, world):
            model.generate(messages[:-1], temperature=0.0, max_new_tokens=1)  # what came before is known
        times = []
        for number in range(3):
            messages += [{"role": "user", "content": f"Observation: nothing new here {number}."}]
            started = time.monotonic()
            world.generate(messages, temperature=0.0, max_new_tokens=STATE_TOKENS)
            thought = agent.generate(messages, temperature=0.0, max_new_tokens=THOUGHT_TOKENS)
            opened = {"role": "assistant", "content": f"{thought}\n{ACTION}"}
            agent.score([*messages, opened], verbs)
            opened = {"role": "assistant", "content": opened["content"] + " go"}
            agent.generate([*messages, opened], temperature=0.0, max_new_tokens=THOUGHT_TOKENS)
            times.append(time.monotonic() - started)
            messages += [{"role": "assistant", "content": f"{thought}\n{ACTION} go to shelf 1"}]
        seconds[length] = round(statistics.median(times), 4)
    return seconds


def _tokens(agent: FastChatAgent, messages: list[dict]) -> int:
    return agent._ask("/count_token", {"prompt": agent.template.render(messages)}, Count).count if messages else 0


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--size", choices=SIZES, default="20m", help="parameters of the random model")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where both sides serve")
    parser.add_argument("--engine", choices=("fastchat", "vllm"), default="fastchat",
                        help="compared with: stock FastChat workers and the released calls, or vLLM and our loop")
    parser.add_argument("--vllm_python", help="of an environment that has vLLM; the .sh makes one")
    parser.add_argument("--episodes", type=int, default=16, help="played at once")
    parser.add_argument("--steps", type=int, default=12, help="of each episode")
    args = parser.parse_args()
    episodes = json.loads(OBSERVATIONS.read_text())
    episodes = [episodes[number % len(episodes)] for number in range(args.episodes)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder, args.size, args.device, [text for e in episodes for text in (e["task"], *e["observations"])])
        _make_state_base(folder, episodes)
        ours = _bench_ours(folder, episodes, args)
        alone, together = ours.pop("results")
        if args.engine == "vllm":
            adapters = {name: folder / "peft" / name for name in (AGENT, WORLD)}
            other = bench_vllm(args.vllm_python, adapters, RECIPE, args.device, free_port(),
                               lambda make_agent: Loop(make_agent, folder, args.steps), episodes, alone, together)
        else:
            other = _bench_released(folder, alone[0], args)
            other["pass_ms"] = {
                rows: profile_pass([folder / "peft" / name for name in (AGENT, WORLD)], args.device, rows)
                for rows in (1, args.episodes)
            }
            print(f"milliseconds of one decoding pass after 1000 tokens, by number of dialogues: {other['pass_ms']}")
    report = {**ours, **other}
    for side_by_side in dict.fromkeys((1, args.episodes)):
        theirs = other.get("steps_per_s_stock") or other[f"steps_per_s_vllm_{side_by_side}"]
        mine = ours[f"steps_per_s_{side_by_side}"]
        report[f"ratio_{side_by_side}"] = round(mine / theirs, 2)
        print(f"{side_by_side} at once: ours {mine:.2f} steps/s, {args.engine} {theirs:.3f}: "
              f"{report[f'ratio_{side_by_side}']} times")
    print(json.dumps({"size": args.size, "device": args.device, "engine": args.engine, **report}))


def _make_state_base(folder: Path, episodes: list[dict]) -> None:
    states = [text for episode in episodes for text in episode["observations"]]
    triplets = [{"pre_action": verb, "state": f"State Knowledge: {text}", "action": "go to shelf 1"}
                for verb in ("look", "go", "take", "open", "put") for text in states]
    write_json(folder / "triplets.json", triplets)
    encoder = load_encoder("wkm-embedding", str(folder / "base"))
    build_cache(folder / "triplets.json", folder / "state_base", encoder, str(folder / "base"))


def _bench_ours(folder: Path, episodes: list[dict], args) -> dict:
    flags = [["--model-path", str(folder / "peft" / name), "--model-names", name] for name in (AGENT, WORLD)]
    with Servers(folder, args.device) as servers:
        worker = servers.worker("eval_agent.serve.model_worker", *CHAT_FORMAT, *flags[0])
        servers.wait_for(AGENT)
        alone_mb = peak_mb(worker)
    with Servers(folder, args.device) as servers:
        worker = servers.worker("eval_agent.serve.model_worker", *CHAT_FORMAT, *flags[0], *flags[1])
        servers.wait_for(AGENT, WORLD)
        adapters_ratio = round(peak_mb(worker) / alone_mb, 3)
        ours = Loop(lambda name: CountingAgent(name, servers.controller, RECIPE), folder, args.steps)
        ours.run([{**episodes[0], "task": "Your task is to: warm up."}])
        alone, one = zip(*(ours.run([episode]) for episode in tqdm(episodes[:3], desc="ours, one at a time")))
        read, written = (sum(getattr(agent, count) for agent in ours.agents) for count in ("read", "written"))
        together, many = ours.run(episodes)
        seconds = growth(servers.controller, episodes[0], [500, 1000, 2000, 4000])
        memory = peak_mb(worker)
    same = all(a["conversations"] == b["conversations"] for (a,), b in zip(alone, together))
    print(f"our worker after so many tokens of history, seconds a step: {seconds}")
    return {
        "results": ([result for (result,) in alone], together), "steps_per_s_1": round(statistics.mean(one), 3),
        f"steps_per_s_{len(episodes)}": round(many, 3), "same_alone_and_together": same,
        "prefilled_per_step": round(read / args.steps, 1), "decoded_per_step": round(written / args.steps, 1),
        "seconds_per_step_at": seconds, "peak_mb": memory, "memory_two_adapters_to_one": adapters_ratio,
    }


def _bench_released(folder: Path, result: dict, args) -> dict:
    with Servers(folder, args.device) as servers:
        workers = [
            servers.worker("fastchat.serve.model_worker", "--model-path", str(folder / "peft" / name),
                           "--model-names", f"stock_{name}")
            for name in (AGENT, WORLD)
        ]
        servers.wait_for(f"stock_{AGENT}", f"stock_{WORLD}")
        released = Released(servers.controller)
        released.step(result, 1)  # once for what is made at the first call only
        planned = (released.step(result, step) for step in range(1, args.steps))
        answers = [released.first_step(result), *tqdm(planned, desc="stock", total=args.steps - 1)]
        same_p = [released.same_distribution(result, step) for step in (1, args.steps - 1)]
        memory = sum(map(peak_mb, workers))
    return {
        "steps_per_s_stock": round(len(answers) / sum(seconds for _, seconds in answers), 4),
        "identical": all(same for same, _ in answers) and all(same_p),
        "identical_steps": f"{sum(same for same, _ in answers)} of {len(answers)}",
        "peak_mb_stock": memory,
    }


if __name__ == "__main__":
    main()
