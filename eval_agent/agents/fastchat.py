"""A model behind FastChat's controller: workers are found, asked how they chat, asked and asked again."""

from collections.abc import Sequence

import requests
import tenacity
from fastchat.constants import ErrorCode

from eval_agent.agents import stock_worker
from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError, draw_seed
from eval_agent.agents.chat_format import ChatFormat, agree, format_of_conversation, format_of_recipe
from eval_agent.agents.chat_templates import ChatTemplate, get_template
from eval_agent.errors import InputError

_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 600


class _NotNow(ModelError):
    """Worth another try: the worker may come back, or another one may take over."""


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
        self.controller = controller_address.rstrip("/")
        self._format: ChatFormat | None = format_of_recipe(recipe) if recipe is not None else None
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
        return get_template(self._format.template)

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
        return self._ask_untruncated(request)["text"]

    def _score(self, messages, candidates):
        prompt = self.template.render(messages)
        if self._stock[self._find_worker()]:
            return stock_worker.score(self._ask_untruncated, prompt, candidates)
        reply = self._ask("/worker_score_candidates", {"prompt": prompt, "candidates": candidates})
        return [CandidateScore(**score) for score in reply["scores"]]

    def _meet_worker(self) -> None:
        """Ask a worker that is new to us for its chat format; a stock one has no route for that."""
        worker = self._find_worker()
        if worker in self._stock:
            return
        response = self._post_to_worker("/worker_chat_format", {"model": self.model_name})
        is_stock = response.status_code == 404
        if is_stock:
            served = format_of_conversation(self._ask("/worker_get_conv_template", {})["conv"]["name"])
        else:
            reply = self._read(worker, response)
            served = ChatFormat(reply["template"], reply["source"])
        self._format = agree(f"{self.model_name} at {worker}", served, self._format)
        self._stock[worker] = is_stock

    def _ask_untruncated(self, request: dict) -> dict:
        """/worker_generate; ContextOverflow where a stock worker has silently cut the prompt's beginning."""
        reply = self._ask("/worker_generate", request)
        read = reply["usage"]["prompt_tokens"]
        if read + request["max_new_tokens"] + 1 >= self._context_length():
            n_tokens = self._ask("/count_token", {"prompt": request["prompt"]})["count"]
            if n_tokens > read:
                raise ContextOverflow(
                    f"{self.model_name} at {self._worker}: the prompt's {n_tokens} tokens and "
                    f"{request['max_new_tokens']} new ones exceed the context length {self._context_length()}"
                )
        return reply

    def _context_length(self) -> int:
        if self._worker not in self._context_lengths:
            self._context_lengths[self._worker] = self._ask("/model_details", {})["context_length"]
        return self._context_lengths[self._worker]

    def _ask(self, route: str, request: dict) -> dict:
        """POST to the worker. One that does not answer is given up: the next try asks the controller anew."""
        worker = self._find_worker()
        return self._read(worker, self._post_to_worker(route, {"model": self.model_name, **request}))

    def _read(self, worker: str, response: requests.Response) -> dict:
        try:
            response.raise_for_status()
            reply = response.json()
        except requests.RequestException as error:
            self._give_up_worker(unreachable=False)
            raise _NotNow(f"{self.model_name}: worker {worker} failed ({error})") from error
        self._raise_for_code(worker, reply)
        return reply

    def _post_to_worker(self, route, request):
        worker = self._find_worker()
        try:
            return self._post(worker + route, request)
        except requests.RequestException as error:
            self._give_up_worker(unreachable=isinstance(error, requests.ConnectionError))
            raise _NotNow(f"{self.model_name}: worker {worker} does not answer ({error})") from error

    def _raise_for_code(self, worker, reply):
        code = reply.get("error_code", 0)
        if code == 0:
            return
        message = f"{self.model_name}: worker {worker}: {reply.get('text')} (error code {int(code)})"
        if code == ErrorCode.CONTEXT_OVERFLOW:
            raise ContextOverflow(message)
        if code in (ErrorCode.INVALID_MODEL, ErrorCode.CUDA_OUT_OF_MEMORY):
            self._give_up_worker(unreachable=False)
            raise _NotNow(message)
        raise ModelError(message)

    def _find_worker(self) -> str:
        if self._worker is None:
            address = self._ask_controller("/get_worker_address", {"model": self.model_name})["address"]
            if not address:
                self._raise_no_worker()
            self._worker = self._last_worker = address.rstrip("/")
        return self._worker

    def _raise_no_worker(self):
        names = sorted(self._ask_controller("/list_models", {})["models"])
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

    def _ask_controller(self, route: str, request: dict) -> dict:
        try:
            response = self._post(self.controller + route, request)
            response.raise_for_status()
            return response.json()
        except requests.RequestException as error:
            if self._last_worker is not None:
                raise _NotNow(f"controller {self.controller} does not answer ({error})") from error
            start = "start it with `python -m fastchat.serve.controller`"
            raise InputError(f"no FastChat controller at {self.controller}: {start} ({error})") from None

    def _post(self, url, request):
        return self._session.post(url, json=request, timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS))
