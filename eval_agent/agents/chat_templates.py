"""Chat formats of the backbones, without the BOS that tokenizers add.

Training renders whole conversations with them and serving renders prompts, so both see the same text.
mistral, gemma and llama3 are LLaMA-Factory's formats of these names; mistral_v02 is the one that
Mistral-7B-Instruct-v0.2 publishes and FastChat prompts with, the tiny base's too; chatml is ChatML without a default
system text. "auto" is none of them: eval_agent.agents.own_template reads the tokenizer's own chat template.
"""

from dataclasses import dataclass

from eval_agent.errors import InputError


@dataclass(frozen=True)
class ChatTemplate:
    """``user`` and ``reply`` wrap one turn each; a reply ends with ``stop``.

    ``whole``: training tokenises a conversation as one text, as a server does with a prompt. Otherwise it
    tokenises each turn by itself, as LLaMA-Factory does; where tokens depend on what stands before them
    (SentencePiece's space at the start of a text) that is not what a server reads.

    ``system`` is how a record's system text stands: before the first user turn, or, where the format has no place for
    one, in front of its content (``system_in_user``).
    """

    name: str
    user: str
    reply: str
    stop: str
    stop_token_ids: tuple[int, ...] = ()  # where ``stop`` is not the tokenizer's own EOS
    whole: bool = False
    system: str = "{content}\n\n"
    system_in_user: bool = True
    closing: str = ""  # follows the last reply of a whole conversation, and is never learnt

    def first_turn(self, content: str, system: str | None) -> str:
        """A conversation's first user turn, with the system text if there is one."""
        if not system:
            return self.user_turn(content)
        text = self.system.replace("{content}", system)
        return self.user_turn(text + content) if self.system_in_user else text + self.user_turn(content)

    def user_turn(self, content: str) -> str:
        return self.user.replace("{content}", content)

    def reply_turn(self, content: str) -> str:
        return self.reply.replace("{content}", content)

    def render(self, messages: list[dict]) -> str:
        """Prompt for ``[{"role": "user" | "assistant", "content": str}, ...]``.

        A last user message leaves the prompt ready for the reply; a last assistant message is left open,
        so that the model continues it.
        """
        text = ""
        for index, message in enumerate(messages):
            content = message["content"]
            if message["role"] == "user":
                text += self.user_turn(content) if index else self.first_turn(content, None)
            else:
                text += self.reply_turn(content) if index < len(messages) - 1 else self.begun_turn(content)
        return text

    def begun_turn(self, content: str) -> str:
        """A reply that goes on after ``content``."""
        return self.reply_turn(content).removesuffix(self.stop_text)

    @property
    def stop_text(self) -> str:
        """All that follows the content of a reply."""
        return self.reply.split("{content}")[1]


@dataclass(frozen=True)
class OwnTemplate(ChatTemplate):
    """A tokenizer's own chat template, taken apart by eval_agent.agents.own_template; tokenised whole.

    ``opening`` is all that stands before the first user turn's content (a default system text); ``system``, unless it
    goes into the user turn, replaces it. ``*_blanks`` is the method of str that takes white space off a content, if
    any. ``bos`` is what the template itself writes first, and the tokenizer adds anyway: it is in no text here.
    """

    opening: str = ""
    bos: str = ""
    system_blanks: str = ""
    user_blanks: str = ""
    reply_blanks: str = ""
    sha256: str = ""  # of the template's text

    def first_turn(self, content: str, system: str | None) -> str:
        opening = self.opening
        if system and self.system_in_user:
            content = self.system.replace("{content}", system) + content
        elif system:
            opening = self.system.replace("{content}", _without(self.system_blanks, system))
        return opening + self.user_turn(content).removeprefix(self.user.split("{content}")[0])

    def user_turn(self, content: str) -> str:
        return super().user_turn(_without(self.user_blanks, content))

    def reply_turn(self, content: str) -> str:
        return super().reply_turn(_without(self.reply_blanks, content))

    def begun_turn(self, content: str) -> str:
        kept = content.lstrip() if self.reply_blanks in ("strip", "lstrip") else content
        return super().reply_turn(kept).removesuffix(self.stop_text)


def _without(blanks: str, content: str) -> str:
    return getattr(content, blanks)() if blanks in ("strip", "lstrip", "rstrip") else content


_TEMPLATES = (
    ChatTemplate(
        "mistral_v02", "[INST] {content} [/INST]", " {content}</s>", "</s>", whole=True, system="{content}\n"
    ),
    ChatTemplate("mistral", "[INST] {content}[/INST]", " {content}</s>", "</s>"),
    ChatTemplate(
        "gemma",
        "<start_of_turn>user\n{content}<end_of_turn>\n<start_of_turn>model\n",
        "{content}<end_of_turn>\n",
        "<end_of_turn>",
        (107,),
    ),
    ChatTemplate(
        "llama3",
        "<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "{content}<|eot_id|>",
        "<|eot_id|>",
        (128009,),
        system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
        system_in_user=False,
    ),
    ChatTemplate(
        "chatml",
        "<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n",
        "{content}<|im_end|>\n",
        "<|im_end|>",  # another id in each vocabulary
        whole=True,
        system="<|im_start|>system\n{content}<|im_end|>\n",
        system_in_user=False,
    ),
)
AUTO = "auto"  # the tokenizer's own
TEMPLATES = {template.name: template for template in _TEMPLATES}
# FastChat's conversation templates that are the same text; 0.2.36 has "mistral" only, the others came later
CONVERSATIONS = {"mistral": "mistral_v02", "gemma": "gemma", "llama-3": "llama3"}


def get_template(name: str) -> ChatTemplate:
    """The template called ``name``. Raises InputError with the known names for another one."""
    if name not in TEMPLATES:
        raise InputError(f'unknown template "{name}", expected one of {", ".join([*TEMPLATES, AUTO])}')
    return TEMPLATES[name]
