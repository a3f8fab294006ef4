"""FastChat's worker over an :class:`Engine`: its routes, and those that are added."""

import argparse
import asyncio
import json
import math
import sys
from dataclasses import asdict
from functools import partial

import psutil
import torch
from fastapi import Request
from fastapi.responses import JSONResponse
from fastchat.constants import SERVER_ERROR_MSG, ErrorCode
from fastchat.model.model_adapter import load_model
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

from eval_agent.agents.chat_format import ChatFormat, format_of_conversation
from eval_agent.agents.chat_templates import AUTO
from eval_agent.agents.own_template import own_template, template_of_base
from eval_agent.errors import InputError
from eval_agent.serve.caches import Answers, repeatable
from eval_agent.serve.conversation import conversation_of
from eval_agent.serve.embedding import embed
from eval_agent.serve.engine import Engine, RequestError
from eval_agent.serve.generation import generate_stream
from eval_agent.serve.loading import (
    LOADING_FAULTS,
    ServedModel,
    add_adapters,
    context_length,
    made_of,
    one_line,
)
from eval_agent.serve.request_fields import Embedding, Generation, Scoring, check
from eval_agent.serve.scoring import score_candidates


class AdapterWorker(ModelWorker):
    """FastChat's worker over an :class:`Engine`: a request's "model" names the adapter that answers it."""

    def __init__(self, args: argparse.Namespace, models: list[ServedModel]):
        names = [name for model in models for name in model.names]
        # ModelWorker's own __init__ would load a second base, and fails under transformers 5
        streams = sys.stdout, sys.stderr
        BaseModelWorker.__init__(
            self,
            args.controller_address,
            args.worker_address,
            worker_id,
            models[0].base,
            names,
            args.limit_worker_concurrency,
            conv_template=None if args.conv_template == AUTO else args.conv_template,
        )
        sys.stdout, sys.stderr = streams  # FastChat makes them loggers
        self.models = models
        self.made_of = {name: made_of(model) for model in models for name in model.names}
        self.chat_formats = {}
        for model in models:
            chat_format = _chat_format_of(model, self.conv.name, args.conv_template)
            self.chat_formats.update(dict.fromkeys(model.names, chat_format))
        if next(iter(self.chat_formats.values())).template == AUTO:
            self.conv = conversation_of(template_of_base(models[0].base))  # for FastChat's OpenAI server
        base, self.tokenizer = _load_base(args, models[0].base)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._check_tokenizer(models[0].base)
        self.context_len = context_length(base.config)
        self.model, adapters = add_adapters(base, models)
        cached = _free_memory(args.device) // 3 if args.prefix_cache_mb is None else args.prefix_cache_mb * 2**20
        self.engine = Engine(self.model, self.tokenizer, adapters, self.context_len, cached)
        self.answers = Answers(args.answer_cache)
        self.device = args.device
        self.stream_interval = args.stream_interval
        self.embed_in_truncate = args.embed_in_truncate
        self.seed = args.seed
        self.generate_stream_func = self._generate_stream

    def check_names(self) -> None:
        """Let each name answer once. Raises InputError, naming the folder, where one does not."""
        for model in self.models:
            prompt = {"model": model.names[0], "prompt": "Hello"}
            text = {**prompt, "temperature": 0.0, "max_new_tokens": 1, "echo": False}
            answers = [self.generate_gate(text), self.score_gate({**prompt, "candidates": [" world"]})]
            fault = next((answer["text"] for answer in answers if answer["error_code"]), None)
            if fault is None and not math.isfinite(answers[1]["scores"][0]["logprob"]):
                fault = "its numbers are not finite, another --dtype may help"
            if fault is not None:
                raise InputError(f"{model.path} cannot answer as {model.names[0]}: {' '.join(fault.split())}")

    def _check_tokenizer(self, base: str) -> None:
        """Raise InputError where FastChat reads the base's tokenizer otherwise than training and clients do."""
        if any(told.template == AUTO for told in self.chat_formats.values()):
            if own_template(self.tokenizer, base) != template_of_base(base):
                kind = type(self.tokenizer).__name__
                raise InputError(f"{base}: FastChat loads its tokenizer as {kind}, which has another chat template")

    def get_status(self):
        return {**super().get_status(), "worker_id": self.worker_id, "made_of": self.made_of}

    def _generate_stream(self, model, tokenizer, params, device, context_len, stream_interval):
        check(params, Generation)
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
        return _answer(self._embed, params)

    def score_gate(self, params: dict) -> dict:
        """Answer /worker_score_candidates: {"model", "prompt", "candidates"} -> {"scores", "usage", ...}."""
        self.call_ct += 1
        return {"text": "", "error_code": 0, **_answer(self._score, params)}

    def chat_format_gate(self, params: dict) -> dict:
        """Answer /worker_chat_format: {"model"} -> {"template": name or null, "source": who says so, ...}.

        With "auto" the base's chat template comes along: "own", the fields of an OwnTemplate.
        """
        return {"text": "", "error_code": 0, **_answer(self._chat_format, params.get("model"))}

    def _chat_format(self, model):
        self.engine.adapter_of(model)
        told = self.chat_formats[model or next(iter(self.chat_formats))]
        answer = {"template": told.template, "source": told.source}
        return {**answer, "own": asdict(template_of_base(self.models[0].base))} if told.template == AUTO else answer

    def _embed(self, params):
        check(params, Embedding)
        return embed(self.engine, params, self.embed_in_truncate)

    def _score(self, params):
        check(params, Scoring)

        def compute():
            yield score_candidates(self.engine, params.get("model"), params.get("prompt"), params.get("candidates"))

        *_, answer = self.answers.stream("score", params, compute)
        return answer


def _chat_format_of(model: ServedModel, conversation: str, flag: str | None) -> ChatFormat:
    """As its training run says, else as --conv-template ``flag`` or FastChat's ``conversation``, else the base's own.

    Raises InputError where "auto" was asked for and cannot be had.
    """
    told = model.chat_format or format_of_conversation(conversation)
    if model.chat_format or flag not in (None, AUTO) or (told.template is not None and flag is None):
        return told
    try:
        return ChatFormat(AUTO, f"the chat template of {model.base}", template_of_base(model.base).sha256)
    except InputError as fault:
        if flag == AUTO:
            raise
        return ChatFormat(None, f"{told.source} and {fault}")


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
    try:
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
    except (*LOADING_FAULTS, ImportError, AssertionError) as error:
        raise InputError(f"base model {path}: {one_line(error)}") from None


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


def _free_memory(device: str) -> int:
    """Bytes that are free now, where the key-value states of ``device`` are kept."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
