"""What LLaMA-Factory is asked to tokenise: conversations, tokenizers and settings, written to a folder.

    python -m scripts.llamafactory_cases FOLDER

The backbones' tokenizers are gated or large: small ones stand for them that treat spaces, newlines and
special tokens as they do (tests/train/family_tokenizers.py); the tiny base's is the real one.
"""

import json
import shutil
import sys
from pathlib import Path

from eval_agent.files import write_json
from tests.train.family_tokenizers import make_family_tokenizers

INSTRUCTION = "Find things.\nAnswer with Thought: and Action:"
TASK = "You are in a room. You see a cabinet 3, and a fridge 1.\nYour task is to: cool a mug."
REPLY = "Thought: I need to find a mug.\nAction: go to cabinet 3"
DIALOGUES = [
    [INSTRUCTION, "OK", TASK, REPLY, "Observation: a mug 1.", "Action: take mug 1"],
    [
        INSTRUCTION,
        "OK",
        TASK,
        "Task Knowledge: When cooling é, 1) find 2) cool",
        f"{REPLY}\nObservation: x",
        "State Knowledge: s",
    ],
    [TASK, REPLY, *(["Observation: Nothing happens.", REPLY] * 6)],
    ["  spaces  around ", " a reply that starts with a space ", "\n\nnew lines\n\n\n", "ends with one\n"],
    ["Hi", "OK"],
    ["[INST] in the text [/INST]", "and  two   spaces, 12345 numbers"],
]
CUTOFFS = (2048, 150, 60, 35)
# our template, LLaMA-Factory's (None: it reads the tokenizer's own chat format)
CASES = {
    "mistral": ("mistral", "mistral"),
    "gemma": ("gemma", "gemma"),
    "llama3": ("llama3", "llama3"),
    "tiny": ("mistral_v02", "mistral"),
    "tiny_own_format": ("mistral_v02", None),
}


def main() -> None:
    folder = Path(sys.argv[1])
    records = [
        {
            "conversations": [
                {"from": ("human", "gpt")[i % 2], "value": turn} for i, turn in enumerate(dialogue)
            ]
        }
        for dialogue in DIALOGUES
    ]
    write_json(folder / "dialogues.json", records)
    families = make_family_tokenizers()
    for name, (ours, theirs) in CASES.items():
        tokenizer = folder / name / "tokenizer"
        if name in families:
            families[name].save_pretrained(tokenizer)
        else:
            tokenizer.mkdir(parents=True)
            for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                shutil.copy(Path("data/tiny-mistral") / file, tokenizer)
        whole = tokenizer / "tokenizer.json"
        whole.write_text(json.dumps(json.loads(whole.read_text()), separators=(",", ":")))
        write_json(
            folder / name / "case.json", {"template": ours, "llamafactory": theirs, "cutoffs": CUTOFFS}
        )
    print(f"{len(CASES)} cases of {len(records)} dialogues written to {folder}")


if __name__ == "__main__":
    main()
