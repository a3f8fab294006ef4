"""FastChat's model worker with several LoRA adapters over one base, a prefix cache and candidate scoring.

    python -m eval_agent.serve.model_worker \\
        --model-path /path/peft/agent_model --model-names agent_model \\
        --model-path /path/peft/world_model --model-names world_model \\
        --port 21020 --worker-address http://localhost:21020

Flags, HTTP routes and the protocol with the controller are FastChat's; added are POST
/worker_score_candidates and /worker_chat_format, a request's "seed", --prefix-cache-mb and --answer-cache.
"""

import argparse
import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

# FastChat writes model_worker_*.log into the working folder otherwise; the same lines go to stderr anyway
os.environ.setdefault("LOGDIR", "")
# before torch starts OpenMP: threads that spin while they wait make a token 5 times as slow where other
# processes (environments, a second worker) need the same cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import requests
import tenacity
import torch
import uvicorn
from fastapi import Request
from fastapi.responses import JSONResponse
from fastchat.constants import SERVER_ERROR_MSG, ErrorCode
from fastchat.conversation import conv_templates
from fastchat.model.model_adapter import add_model_args, load_model
from fastchat.modules.awq import AWQConfig
from fastchat.modules.gptq import GptqConfig
from fastchat.serve.base_model_worker import (
    BaseModelWorker,
    acquire_worker_semaphore,
    app,
    release_worker_semaphore,
)
from fastchat.serve.model_worker import ModelWorker, worker_id
from fastchat.utils import str_to_torch_dtype

from eval_agent.agents.chat_format import format_of_conversation
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.serve.caches import Answers, repeatable
from eval_agent.serve.embedding import embed
from eval_agent.serve.engine import Engine, RequestError
from eval_agent.serve.generation import generate_stream
from eval_agent.serve.loading import ServedModel, add_adapters, context_length, plan_models
from eval_agent.serve.scoring import score_candidates

# uvicorn's ssl_keyfile and ssl_certfile
_SSL_VARIABLES = ("SSL_KEYFILE", "SSL_CERTFILE")


class AdapterWorker(ModelWorker):
    """FastChat's worker over an :class:`Engine`: a request's "model" names the adapter that answers it."""

    def __init__(self, args: argparse.Namespace, models: list[ServedModel]):
        names = [name for model in models for name in model.names]
        # ModelWorker's own __init__ would load a second base, and fails under transformers 5
        BaseModelWorker.__init__(
            self,
            args.controller_address,
            args.worker_address,
            worker_id,
            models[0].base,
            names,
            args.limit_worker_concurrency,
            conv_template=args.conv_template,
        )
        self.chat_formats = {
            name: model.chat_format or format_of_conversation(self.conv.name)
            for model in models
            for name in model.names
        }
        base, self.tokenizer = _load_base(args, models[0].base)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.context_len = context_length(base.config)
        self.model, adapters = add_adapters(base, models)
        self.engine = Engine(
            self.model, self.tokenizer, adapters, self.context_len, args.prefix_cache_mb * 2**20
        )
        self.answers = Answers(args.answer_cache)
        self.device = args.device
        self.stream_interval = args.stream_interval
        self.embed_in_truncate = args.embed_in_truncate
        self.seed = args.seed
        self.generate_stream_func = self._generate_stream

    def _generate_stream(self, model, tokenizer, params, device, context_len, stream_interval):
        params = {"seed": self.seed, **params}
        compute = partial(generate_stream, self.engine, params, stream_interval, params["seed"])
        return self.answers.stream("generate", params, compute) if repeatable(params) else compute()

    def generate_stream_gate(self, params):
        try:
            yield from super().generate_stream_gate(params)
        except Exception as error:  # noqa: BLE001  the routes never free their semaphore after an exception
            yield json.dumps(_failure(error)).encode() + b"\0"

    def get_embeddings(self, params):
        self.call_ct += 1
        return _answer(embed, self.engine, params, self.embed_in_truncate)

    def score_gate(self, params: dict) -> dict:
        """Answer /worker_score_candidates: {"model", "prompt", "candidates"} -> {"scores", "usage", ...}."""
        self.call_ct += 1
        return {"text": "", "error_code": 0, **_answer(self._score, params)}

    def chat_format_gate(self, params: dict) -> dict:
        """Answer /worker_chat_format: {"model"} -> {"template": name or null, "source": who says so, ...}."""
        return {"text": "", "error_code": 0, **_answer(self._chat_format, params.get("model"))}

    def _chat_format(self, model):
        self.engine.adapter_of(model)
        return asdict(self.chat_formats[model or next(iter(self.chat_formats))])

    def _score(self, params):
        def compute():
            yield score_candidates(self.engine, params.get("model"), params.get("prompt"), params.get("candidates"))

        *_, answer = self.answers.stream("score", params, compute)
        return answer


def _answer(function, *arguments) -> dict:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001  a client gets the reason, the worker goes on
        return _failure(error)


def _failure(error: Exception) -> dict:
    if isinstance(error, RequestError):
        return {"text": str(error), "error_code": error.code}
    out_of_memory = isinstance(error, torch.cuda.OutOfMemoryError)
    code = ErrorCode.CUDA_OUT_OF_MEMORY if out_of_memory else ErrorCode.INTERNAL_ERROR
    return {"text": f"{SERVER_ERROR_MSG}\n\n({type(error).__name__}: {error})", "error_code": code}


def _load_base(args, path):
    gptq = GptqConfig(
        ckpt=args.gptq_ckpt or path,
        wbits=args.gptq_wbits,
        groupsize=args.gptq_groupsize,
        act_order=args.gptq_act_order,
    )
    awq = AWQConfig(ckpt=args.awq_ckpt or path, wbits=args.awq_wbits, groupsize=args.awq_groupsize)
    return load_model(
        path,
        revision=args.revision,
        device=args.device,
        num_gpus=args.num_gpus,
        max_gpu_memory=args.max_gpu_memory,
        dtype=str_to_torch_dtype(args.dtype),
        load_8bit=args.load_8bit,
        cpu_offloading=args.cpu_offloading,
        gptq_config=gptq,
        awq_config=awq,
        debug=args.debug,
    )


@app.post("/worker_score_candidates")
async def api_score_candidates(request: Request):
    """Scores of the "candidates" that may follow "prompt" under "model"."""
    from fastchat.serve.base_model_worker import worker

    params = await request.json()
    await acquire_worker_semaphore()
    try:
        return JSONResponse(await asyncio.to_thread(worker.score_gate, params))
    finally:
        release_worker_semaphore()


@app.post("/worker_chat_format")
async def api_chat_format(request: Request):
    """The chat format of "model", as its training run or FastChat has it."""
    from fastchat.serve.base_model_worker import worker

    return worker.chat_format_gate(await request.json())


async def _serve(config: uvicorn.Config, concurrency: int) -> None:
    # asyncio's own pool has four threads more than the machine has cores: too few for a batch
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="request")
    asyncio.get_running_loop().set_default_executor(pool)
    await uvicorn.Server(config).serve()


def build_parser() -> argparse.ArgumentParser:
    """FastChat's flags; --model-path and --model-names may be repeated, as in its multi_model_worker."""
    about = "FastChat's model worker for several LoRA adapters over one base."
    parser = argparse.ArgumentParser(description=about, conflict_handler="resolve")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=21002)
    parser.add_argument("--worker-address", default="http://localhost:21002")
    parser.add_argument("--controller-address", default="http://localhost:21001")
    add_model_args(parser)
    parser.add_argument(
        "--model-path",
        action="append",
        default=[],
        help="A LoRA adapter's folder or a base model; repeat it for more models over the same base.",
    )
    parser.add_argument(
        "--model-names",
        action="append",
        type=lambda names: names.split(","),
        help="Comma separated names, once after each --model-path. Default: the folders' names.",
    )
    parser.add_argument(
        "--conv-template",
        help="FastChat's conversation template of models whose training run left no run_settings.json.",
    )
    parser.add_argument("--embed-in-truncate", action="store_true")
    parser.add_argument(
        "--limit-worker-concurrency", type=int, default=32, help="Requests at once; they share model passes."
    )
    parser.add_argument("--stream-interval", type=int, default=2)
    parser.add_argument("--no-register", action="store_true")
    parser.add_argument("--seed", type=int, help="Overwrite the random seed for each generation.")
    parser.add_argument("--debug", type=bool, default=False, help="Print debugging messages")
    parser.add_argument(
        "--ssl", action="store_true", help="Enable SSL; needs the variables SSL_KEYFILE and SSL_CERTFILE."
    )
    parser.add_argument(
        "--prefix-cache-mb", type=int, default=2048, help="Memory for states of prompts seen before."
    )
    parser.add_argument(
        "--answer-cache", type=int, default=0,
        help="So many answers are kept for requests that come again: greedy, with a seed, scores (about 1 kB each).",
    )
    return parser


def _check_flags(args):
    if args.gpus and len(args.gpus.split(",")) < args.num_gpus:
        raise InputError(f"--num-gpus {args.num_gpus} is more than --gpus {args.gpus} lists")
    if args.gpus:  # before anything asks CUDA for its devices
        os.environ["CUDA_VISIBLE_DEVICES"] = args.gpus
    if args.enable_exllama or args.enable_xft:
        raise InputError("--enable-exllama and --enable-xft need fastchat.serve.model_worker")
    if args.conv_template and args.conv_template not in conv_templates:
        known = ", ".join(sorted(conv_templates))
        raise InputError(f"--conv-template {args.conv_template}: FastChat knows only {known}")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but PyTorch finds no GPU here; use --device cpu")
    if args.ssl and not set(_SSL_VARIABLES) <= os.environ.keys():
        raise InputError(f"--ssl needs the environment variables {' and '.join(_SSL_VARIABLES)}")


def wait_for_controller(address: str, seconds: float = 10) -> None:
    """A controller may be starting just now. Raises InputError where none answers."""
    retry = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(0.5),
        retry=tenacity.retry_if_exception_type(requests.RequestException),
        reraise=True,
    )
    try:
        retry(requests.get, address + "/test_connection", timeout=5)
    except requests.RequestException:
        start = "start `python -m fastchat.serve.controller`, or pass --no-register"
        raise InputError(f"no controller at {address} (--controller-address): {start}") from None


@exit_on_input_error
def main() -> None:
    args = build_parser().parse_args()
    _check_flags(args)
    models = plan_models(args.model_path, args.model_names)
    if not args.no_register:
        wait_for_controller(args.controller_address)
    worker = AdapterWorker(args, models)
    if not args.no_register:
        worker.init_heart_beat()
    ssl = {name.lower(): os.environ[name] for name in _SSL_VARIABLES} if args.ssl else {}
    config = uvicorn.Config(app, host=args.host, port=args.port, log_level="info", **ssl)
    asyncio.run(_serve(config, args.limit_worker_concurrency))


if __name__ == "__main__":
    main()
