"""``"template": "auto"``: a tokenizer's own chat template (Jinja), taken apart once into the pieces that it writes.

Training and prompts then join these pieces, so that both see one text, clients need neither Jinja nor the tokenizer,
and an open reply is a beginning of the trained text by construction. What the pieces give is compared with what the
template writes: here for dialogues of every length, in training for every record. A template that is no such row of
pieces (it rewrites earlier turns) is refused by name. transformers renders it, in a sandbox.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from eval_agent.agents.chat_templates import AUTO, ChatTemplate, OwnTemplate
from eval_agent.errors import InputError, warn

_DAY = datetime(2024, 7, 26)  # wherever a template asks for today: what Llama's fall back to
_DATE = re.compile(r"""\bstrftime_now\(\s*(['"])(.*?)\1\s*\)""")
_ROLES = ("user", "assistant")
_BLANKS = ("", "strip", "rstrip", "lstrip")
_THOUGHT = "<think>\na thought of number {}\n</think>\n\n"
_ADVICE = 'name a format in the recipe, such as "template": "chatml"'


@lru_cache
def template_of_base(base: str) -> OwnTemplate:
    """The chat template in the tokenizer of ``base``, a folder or a hub name. Raises InputError."""
    from transformers import AutoTokenizer  # takes seconds, and only few clients need it

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    except Exception as error:  # tokenizers raises nothing narrower for a broken file
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f'"template": "{AUTO}" takes the chat format from the tokenizer of "{base}": {told}') from None
    return own_template(tokenizer, base)


def own_template(tokenizer, base: str) -> OwnTemplate:
    """The chat template of ``tokenizer``, the one of ``base``.

    Raises InputError, naming base and turn, where there is none, where it cannot be taken apart, and where a server,
    which tokenises the prompt's text, would not read the template's own tokens.
    """
    reading = _Reading(tokenizer, base)
    template = reading.take_apart()
    if reading.dated:
        warn(f"{base}: its chat template writes today's date; here that is always {_DAY:%d %b %Y}")
    return template


def written_otherwise(tokenizer, base: str, template: ChatTemplate) -> bool:
    """Whether the chat template of ``tokenizer`` is known to prompt with another text than a named ``template``."""
    try:
        own = _Reading(tokenizer, base).take_apart()
    except InputError:
        return False
    bos = tokenizer.bos_token or ""
    return own.render(_dialogue(3)).removeprefix(bos) != template.render(_dialogue(3)).removeprefix(bos)


def check_rendering(tokenizer, template: OwnTemplate, turns: list[dict], system: str | None, text: str) -> None:
    """Raise InputError, which names the turn, unless the chat template writes this dialogue as ``text``.

    ``turns`` are sharegpt's. White space, thoughts or an empty content may have made it drop or change something.
    """
    roles = {"human": "user", "gpt": "assistant"}
    messages = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in turns]
    if system:
        messages = _with_system(template, messages, system)
    written = _write(tokenizer, messages)
    if written != template.bos + text:
        bare = messages[1:] if messages[0]["role"] == "system" else messages
        turn = _first_unlike(template, bare, None if bare is messages else system, written)
        raise InputError(f"conversations[{turn}].value: the model's chat template changes this turn; {_ADVICE}")


@dataclass
class _Reading:
    """What one template writes for dialogues whose contents are known."""

    tokenizer: object
    base: str
    head: str = ""  # of a reply, where the template writes it with the reply only
    dated: bool = False  # it writes today's date

    def take_apart(self) -> OwnTemplate:
        try:
            text = self.tokenizer.get_chat_template()
        except ValueError:
            raise self._refused("its tokenizer has no chat template") from None
        self._check_date(text)
        template = self._pieces(sha256(text.encode()).hexdigest())
        self._check(template, _dialogue(6), "writes {turn} otherwise once other turns follow")
        template = self._with_blanks(template)
        thoughts = _dialogue(6)
        for number, turn in enumerate(thoughts[1::2]):
            turn["content"] = _THOUGHT.format(number) + turn["content"]
        self._check(template, thoughts, "drops the thought (<think>) of {turn}")
        template = self._with_system(template)
        return self._without_bos(template)

    def _check_date(self, text: str) -> None:
        """A prompt is not to change overnight: today's date is pinned, or refused where it cannot be."""
        if re.search(r"\bstrftime_now\s*\(", _DATE.sub("", text)):
            raise self._refused("its chat template asks for today's date in a way that cannot be pinned")
        if _DATE.search(text):
            self.dated = self._written(_dialogue(1)) != _write(self.tokenizer, _dialogue(1), day=datetime(2001, 1, 1))

    def _pieces(self, digest: str) -> OwnTemplate:
        """user, reply and what stands around them, from one dialogue; all contents are plain words."""
        dialogue = _dialogue(6)
        opening, *between, end = self._around(self._written(dialogue), dialogue)
        if "{content}" in opening + "".join(between) + end:
            raise self._refused('its chat template writes "{content}", which stands for the contents here')
        to_reply, to_user = between[0], between[1]
        ask = self._ask(dialogue[0]["content"], opening, to_reply)
        stop, after = self._end_mark(to_user, end)
        return OwnTemplate(
            name=AUTO, user=f"{to_user[len(after):]}{{content}}{ask}", reply=f"{to_reply[len(ask):]}{{content}}{after}",
            stop=stop, stop_token_ids=self._ids_of(stop), whole=True, opening=opening, closing=end[len(after):],
            sha256=digest,
        )

    def _around(self, written: str, dialogue: list[dict]) -> list[str]:
        """The pieces of ``written`` around the contents, each of which stands there once and in its turn."""
        pieces, rest = [], written
        for number, turn in enumerate(dialogue, 1):
            before, found, rest = rest.partition(turn["content"])
            if not found or turn["content"] in rest:
                how = "repeats" if found else "leaves out or moves"
                raise self._refused(f"its chat template {how} {_name(number, turn)}")
            pieces.append(before)
        return [*pieces, rest]

    def _ask(self, first: str, opening: str, to_reply: str) -> str:
        """What follows a user turn's content in a prompt."""
        written = self._written([{"role": "user", "content": first}], ask=True)
        if not written.startswith(opening + first):
            raise self._refused("its chat template writes turn 1 (user) otherwise once other turns follow")
        ask = written.removeprefix(opening + first)
        if not to_reply.startswith(ask):
            raise self._refused(
                f"its chat template asks for a reply with {ask[-60:]!r} and writes {to_reply[-60:]!r} before a "
                "given one"
            )
        if to_reply[len(ask):].strip():  # it cannot ask, but heads replies: the model is not to write the head itself
            self.head = to_reply[len(ask):]
        return ask + self.head

    def _end_mark(self, to_user: str, end: str) -> tuple[str, str]:
        """(stop string, a reply's end up to and with it): the first added token after its content, or plain text."""
        added = self.tokenizer.added_tokens_decoder.values()
        found = [
            (to_user.find(token.content), -len(token.content), token) for token in added if token.content in to_user
        ]
        if found:
            place, _, token = min(found, key=lambda mark: mark[:2])
            after = to_user[: place + len(token.content)]
            if token.rstrip:  # it takes white space that follows into itself
                after += to_user[len(after):][: len(to_user[len(after):]) - len(to_user[len(after):].lstrip())]
            if end.startswith(after):
                return token.content, after
        shared = _common(to_user, end)
        if not shared.strip():
            raise self._refused("its chat template puts no mark at the end of an assistant turn")
        return shared.strip(), shared

    def _ids_of(self, stop: str) -> tuple[int, ...]:
        added = self.tokenizer.get_added_vocab()
        return (added[stop],) if stop in added else ()

    def _with_blanks(self, template: OwnTemplate) -> OwnTemplate:
        """``template`` with what it does to white space around contents; the same at every turn."""
        dialogue = [{**turn, "content": f" \n {turn['content']} \n "} for turn in _dialogue(6)]
        for user_blanks in _BLANKS:
            for reply_blanks in _BLANKS:
                tried = replace(template, user_blanks=user_blanks, reply_blanks=reply_blanks)
                if self._unlike(tried, dialogue) is None:
                    return tried
        self._check(template, dialogue, "changes white space of {turn} in a way that is not known here")
        raise AssertionError("checked above")

    def _with_system(self, template: OwnTemplate) -> OwnTemplate:
        """``template`` with its place for a system text; where it has none, or moves it on, the first user turn."""
        system, dialogue = "Some text for the system.", _dialogue(4)
        try:
            written = self._written([{"role": "system", "content": system}, *dialogue])
        except InputError:
            return template
        before, found, _ = written.partition(dialogue[0]["content"])
        if not found or before.count(system) != 1 or self._takes_for_another(system, dialogue, written):
            return template
        head, _, tail = before.partition(system)
        for blanks in _BLANKS:
            tried = replace(
                template, system=f"{head}{{content}}{tail}", system_in_user=False, system_blanks=blanks
            )
            if all(self._unlike(tried, dialogue, text) is None for text in (system, f" \n {system} \n ")):
                return tried
        return template

    def _takes_for_another(self, system: str, dialogue: list[dict], written: str) -> bool:
        """Whether the template writes a system text as a turn of somebody else."""
        for role in _ROLES:
            try:
                if self._written([{"role": role, "content": system}, *dialogue]) == written:
                    return True
            except InputError:
                continue
        return False

    def _without_bos(self, template: OwnTemplate) -> OwnTemplate:
        """One BOS: what the template writes and the tokenizer adds is left to the tokenizer, as servers have it."""
        bos = self.tokenizer.bos_token
        written = self._written(_dialogue(4))
        own = self.tokenizer(written, add_special_tokens=False)["input_ids"]
        added = bos is not None and self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
        if added and template.opening.startswith(bos):
            cut = {"opening": template.opening.removeprefix(bos), "bos": bos}
            if not template.system_in_user:
                cut["system"] = template.system.removeprefix(bos)
            template = replace(template, **cut)
        elif added and bos not in template.opening:
            own = [self.tokenizer.bos_token_id, *own]
        served = self.tokenizer(written.removeprefix(template.bos))["input_ids"]
        if served != own:
            place = len(_common(served, own))
            raise self._refused(
                f"its tokenizer reads the chat template's text, as servers tokenise it, from token {place} on as "
                f"{self.tokenizer.convert_ids_to_tokens(served[place:place + 3])}, expected "
                f"{self.tokenizer.convert_ids_to_tokens(own[place:place + 3])}"
            )
        return template

    def _check(self, template: OwnTemplate, dialogue: list[dict], how: str) -> None:
        turn = self._unlike(template, dialogue)
        if turn is not None:
            raise self._refused(f"its chat template {how.format(turn=_name(turn + 1, dialogue[turn]))}")

    def _unlike(self, template: OwnTemplate, dialogue: list[dict], system: str | None = None) -> int | None:
        """Of the dialogue and each beginning of it: the first turn that ``template`` does not join as it is written."""
        for length in range(1, len(dialogue) + 1):
            turns = dialogue[:length]
            messages = _with_system(template, turns, system) if system else turns
            asks = length % 2 == 1
            written = self._written(messages, asks) + self.head * asks
            if written != template.bos + _joined(template, turns, system):
                return _first_unlike(template, turns, system, written)
        return None

    def _written(self, messages: list[dict], ask: bool = False) -> str:
        try:
            return _write(self.tokenizer, messages, ask)
        except Exception as error:  # it is a program: whatever it raises
            told = " ".join(str(error).split())[:200] or type(error).__name__
            raise self._refused(f"its chat template fails on a dialogue of user and assistant ({told})") from None

    def _refused(self, what: str) -> InputError:
        return InputError(f'{self.base}: {what}, so "template": "{AUTO}" cannot be used; {_ADVICE}')


def _write(tokenizer, messages: list[dict], ask: bool = False, day: datetime = _DAY) -> str:
    """What the template writes, on ``day`` where it asks for the date."""
    text = _DATE.sub(lambda call: repr(day.strftime(call[2])), tokenizer.get_chat_template())
    return tokenizer.apply_chat_template(messages, chat_template=text, tokenize=False, add_generation_prompt=ask)


def _dialogue(length: int) -> list[dict]:
    return [{"role": _ROLES[i % 2], "content": f"Some {_ROLES[i % 2]} text of number {i + 1}."} for i in range(length)]


def _with_system(template: OwnTemplate, messages: list[dict], system: str) -> list[dict]:
    """The messages as the template has to be given them."""
    if not template.system_in_user:
        return [{"role": "system", "content": system}, *messages]
    first = {**messages[0], "content": template.system.replace("{content}", system) + messages[0]["content"]}
    return [first, *messages[1:]]


def _joined(template: OwnTemplate, turns: list[dict], system: str | None) -> str:
    """The whole dialogue, or, after a user turn, the prompt for a reply."""
    text = template.first_turn(turns[0]["content"], system)
    for turn in turns[1:]:
        write: Callable = template.user_turn if turn["role"] == "user" else template.reply_turn
        text += write(turn["content"])
    return text if turns[-1]["role"] == "user" else text + template.closing


def _first_unlike(template: OwnTemplate, turns: list[dict], system: str | None, written: str) -> int:
    """The index of the turn in which ``written`` and the joined pieces begin to differ."""
    joined = template.bos + _joined(template, turns, system)
    place = len(_common(joined, written))
    ends = [
        len(template.bos) + len(_joined(replace(template, closing=""), turns[: count + 1], system))
        for count in range(len(turns))
    ]
    return next((count for count, end in enumerate(ends) if place < end), len(turns) - 1)


def _common(one, other):
    """What two sequences begin with alike."""
    length = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return one[:length]


def _name(number: int, turn: dict) -> str:
    return f"turn {number} ({turn['role']})"
