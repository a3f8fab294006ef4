"""A model behind FastChat's controller: workers are found, asked how they chat, asked and asked again."""

from collections.abc import Sequence

import requests
import tenacity
from fastchat.constants import ErrorCode

from eval_agent.agents import stock_worker
from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError, draw_seed
from eval_agent.agents.chat_format import (
    ChatFormat,
    agree,
    format_of_conversation,
    format_of_recipe,
    template_of_recipe,
)
from eval_agent.agents.chat_templates import AUTO, ChatTemplate, OwnTemplate, get_template
from eval_agent.agents.replies import Address, Coded, Conversation, Count, Details, Format, Generated, Models, Scores
from eval_agent.connection import AnyReply, ConnectionFault, checked_address, parse, send
from eval_agent.errors import InputError

_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 600


class _NotNow(ModelError):
    """Worth another try: the worker may come back, or another one may take over."""


class _NoRoute(_NotNow):
    """The worker does not have the route, as a stock one has not all of ours."""


class FastChatAgent(LMAgent):
    """One served model. It stays with the worker that it was given, whose cache knows the dialogue.

    Not for use by several threads at once. A worker of eval_agent.serve scores candidates in one call, a
    stock FastChat worker through ``echo`` and ``logprobs``, and samples without regard to ``seed``.

    ``recipe`` (the path of a training recipe) names the chat format where the worker cannot tell it; where it
    can, the two have to be the same.
    """

    def __init__(
        self, model_name: str, controller_address: str, recipe: str | None = None, retry_seconds: float = 120,
        seed: int | None = None,
    ):
        self.model_name = model_name
        self.seed = seed
        self.controller = checked_address(controller_address, 'field "controller_address" of the model config')
        self._recipe = recipe
        self._format: ChatFormat | None = format_of_recipe(recipe) if recipe is not None else None
        self._own: OwnTemplate | None = None  # told by a worker
        self._session = requests.Session()
        self._worker: str | None = None
        self._last_worker: str | None = None  # named in errors after it went away
        self._context_lengths: dict[str, int] = {}
        self._stock: dict[str, bool] = {}  # worker address, once met -> an unmodified FastChat worker
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_NotNow),
            wait=tenacity.wait_exponential(multiplier=0.25, max=15),
            stop=tenacity.stop_after_delay(retry_seconds),
            reraise=True,
        )

    def generate(
        self, messages: list[dict], *, stop: Sequence[str] = (), temperature: float, max_new_tokens: int
    ) -> str:
        return self._retry(self._generate, messages, list(stop), temperature, max_new_tokens)

    def score(self, messages: list[dict], candidates: Sequence[str]) -> list[CandidateScore]:
        return self._retry(self._score, messages, list(candidates))

    @property
    def template(self) -> ChatTemplate:
        """The served model's chat format.

        Raises InputError where it is unknown, or another one than the recipe's or an earlier worker's; and
        what ``generate`` raises where no worker answers.
        """
        self._meet_worker()
        if self._format.template != AUTO:
            return get_template(self._format.template)
        return self._own or template_of_recipe(self._recipe)  # stock workers tell no template

    def _generate(self, messages, stop, temperature, max_new_tokens):
        template = self.template
        request = {
            "prompt": template.render(messages),
            "temperature": temperature,
            "max_new_tokens": max_new_tokens,
            "stop": [template.stop, *stop],
            "stop_token_ids": list(template.stop_token_ids),
            "echo": False,
        }
        if self.seed is not None and temperature > 0:
            request["seed"] = draw_seed(self.seed, request["prompt"])
        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        if begun and self._stock[self._find_worker()]:
            return stock_worker.continue_reply(self._ask_untruncated, request, begun, request["stop"])
        return self._ask_untruncated(request).text

    def _score(self, messages, candidates):
        prompt = self.template.render(messages)
        if self._stock[self._find_worker()]:
            return stock_worker.score(self._ask_untruncated, prompt, candidates)
        scores = self._ask("/worker_score_candidates", {"prompt": prompt, "candidates": candidates}, Scores).scores
        if len(scores) != len(candidates):
            raise ModelError(f"{self.model_name}: {len(scores)} scores for {len(candidates)} candidates")
        return [CandidateScore(score.first_token, score.first_token_logprob, score.logprob) for score in scores]

    def _meet_worker(self) -> None:
        """Ask a worker that is new to us for its chat format; a stock one has no route for that."""
        worker = self._find_worker()
        if worker in self._stock:
            return
        try:
            response = self._post_to_worker("/worker_chat_format", {"model": self.model_name})
        except _NoRoute:
            served = format_of_conversation(self._ask("/worker_get_conv_template", {}, Conversation).conv.name)
            is_stock = True
        else:
            told = self._read(worker, response, Format)
            served, is_stock = ChatFormat(told.template, told.source, told.own and told.own.sha256), False
            self._own = told.own
        self._format = agree(f"{self.model_name} at {worker}", served, self._format)
        self._stock[worker] = is_stock

    def _ask_untruncated(self, request: dict) -> Generated:
        """/worker_generate; ContextOverflow where a stock worker has silently cut the prompt's beginning."""
        reply = self._ask("/worker_generate", request, Generated)
        read = reply.usage.prompt_tokens
        if read + request["max_new_tokens"] + 1 >= self._context_length():
            n_tokens = self._ask("/count_token", {"prompt": request["prompt"]}, Count).count
            if n_tokens > read:
                raise ContextOverflow(
                    f"{self.model_name} at {self._worker}: the prompt's {n_tokens} tokens and "
                    f"{request['max_new_tokens']} new ones exceed the context length {self._context_length()}"
                )
        return reply

    def _context_length(self) -> int:
        if self._worker not in self._context_lengths:
            self._context_lengths[self._worker] = self._ask("/model_details", {}, Details).context_length
        return self._context_lengths[self._worker]

    def _ask(self, route: str, request: dict, reply: type[AnyReply]) -> AnyReply:
        """POST to the worker. One that does not answer is given up: the next try asks the controller anew."""
        worker = self._find_worker()
        try:
            response = self._post_to_worker(route, {"model": self.model_name, **request})
        except _NoRoute:
            self._give_up_worker(unreachable=False)
            raise
        return self._read(worker, response, reply)

    def _read(self, worker: str, response: requests.Response, reply: type[AnyReply]) -> AnyReply:
        try:
            self._raise_for_code(worker, parse(response, Coded))
            return parse(response, reply)
        except ConnectionFault as fault:
            self._give_up_worker(unreachable=False)
            raise _NotNow(f"{self.model_name}: worker {fault}") from fault

    def _post_to_worker(self, route, request):
        worker = self._find_worker()
        try:
            return self._post(worker + route, request)
        except ConnectionFault as fault:
            if fault.status == 404:
                raise _NoRoute(f"{self.model_name}: worker {fault}") from fault
            self._give_up_worker(fault.unreachable)
            raise _NotNow(f"{self.model_name}: worker {fault}") from fault

    def _raise_for_code(self, worker: str, reply: Coded) -> None:
        code = reply.error_code
        if code == 0:
            return
        message = f"{self.model_name}: worker {worker}: {reply.text} (error code {code})"
        if code == ErrorCode.CONTEXT_OVERFLOW:
            raise ContextOverflow(message)
        if code in (ErrorCode.INVALID_MODEL, ErrorCode.CUDA_OUT_OF_MEMORY):
            self._give_up_worker(unreachable=False)
            raise _NotNow(message)
        raise ModelError(message)

    def _find_worker(self) -> str:
        if self._worker is None:
            address = self._ask_controller("/get_worker_address", {"model": self.model_name}, Address).address
            if not address:
                self._raise_no_worker()
            self._worker = self._last_worker = address.rstrip("/")
        return self._worker

    def _raise_no_worker(self):
        names = sorted(self._ask_controller("/list_models", {}, Models).models)
        served = ", ".join(names) or "no model at all"
        message = f'no worker serves model "{self.model_name}": {self.controller} knows {served}'
        if self._last_worker is None:
            raise InputError(message)
        raise _NotNow(f"{message}; worker {self._last_worker} went away")

    def _give_up_worker(self, unreachable: bool) -> None:
        """Ask the controller anew next time; one that cannot be reached is struck off its list first."""
        self._worker = None
        if unreachable:
            self._ask_controller("/refresh_all_workers", {})

    def _ask_controller(self, route: str, request: dict, reply: type[AnyReply] | None = None) -> AnyReply | None:
        try:
            response = self._post(self.controller + route, request)
            return None if reply is None else parse(response, reply)
        except ConnectionFault as fault:
            if self._last_worker is not None:
                raise _NotNow(f"controller {fault}") from fault
            start = "; start it with `python -m fastchat.serve.controller`" if fault.refused else ""
            raise InputError(f"no FastChat controller at {self.controller}: {fault}{start}") from None

    def _post(self, url, request):
        return send(url, request, (_CONNECT_SECONDS, _ANSWER_SECONDS), self._session)
