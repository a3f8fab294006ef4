"""A base's own chat template as FastChat's Conversation, by which FastChat's OpenAI server writes chat prompts.

FastChat goes by the base's path, and gives one that it does not know a format of its own ("### Human:").
"""

from fastchat.conversation import Conversation, SeparatorStyle

from eval_agent.agents.chat_templates import AUTO, OwnTemplate


def conversation_of(template: OwnTemplate) -> Conversation:
    """Its prompts are those of ``template``, but for blanks at the ends of a content.

    A system text of the client replaces the template's default one; where there is none, or it belongs into the user
    turn, it stands in front: FastChat knows no other place.
    """
    asks, asked = template.user.split("{content}")
    lead = next(k for k in range(len(asks) + 1) if template.opening.endswith(asks[k:]))  # of later user turns only
    asks, lead = asks[lead:], asks[:lead]
    default, place = template.opening.removesuffix(asks), ("", "")
    if not template.system_in_user:
        before, after = template.system.removesuffix(asks).split("{content}")
        if default.startswith(before) and default.endswith(after):
            default, place = default[len(before): len(default) - len(after)], (before, after)
    before, after = (text.replace("{", "{{").replace("}", "}}") for text in place)
    return Conversation(
        name=AUTO,
        system_template=f"{before}{{system_message}}{after}",
        system_message=default,
        roles=(asks, ""),
        messages=[],
        sep_style=int(SeparatorStyle.NO_COLON_TWO),  # as it travels
        sep=asked,
        sep2=template.stop_text + lead,
        stop_str=template.stop,
        stop_token_ids=list(template.stop_token_ids),
    )
