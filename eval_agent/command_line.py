"""The command line of an entry script, and numbers in the environment: a fault in them is one sentence.

The entry's docstring is the help: what it does and an example stand before the arguments, the rest behind them.
"""

import argparse
import copy
import difflib
import os
import re
import sys

from eval_agent.errors import InputError

# what a flag means in every entry; what it means in one of them more stands behind it
WORDS = {
    "--task": "alfworld, sciworld or webshop",
    "--exp_config": "task config, a name in configs/task or a .json file",
    "--split": "train, dev (= seen) or test (= unseen)",
    "--output_dir": "folder that is written to",
    "--output_path": "file that is written",
    "--controller_address": "FastChat's controller",
}


class Parser(argparse.ArgumentParser):
    """A parser whose help is ``about`` around the arguments; what is wrong ends the program with one line, code 2."""

    def __init__(self, about: str, **options):
        head, rest = _around(about)
        options["epilog"] = "\n\n".join(filter(None, (rest, options.get("epilog"))))
        super().__init__(prog=_program(), description=head, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def parse_args(self, args=None, namespace=None):
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown argument {unknown[0]}{self._meant(unknown[0])}")
        return known

    def _meant(self, flag: str) -> str:
        """"; did you mean --gamma?" where one of the flags is written nearly so."""
        near = difflib.get_close_matches(flag.partition("=")[0], self._option_string_actions, n=1, cutoff=0.75)
        return f"; did you mean {near[0]}?" if near else ""

    def error(self, message: str):
        self.exit(2, f"error: {message} (--help lists the arguments)\n")

    def format_usage(self) -> str:
        """What stands without a flag, and the flags that must be given."""
        words = []
        for action in self._actions:
            values = self._get_formatter()._format_args(action, action.dest.upper())
            if action.required or not action.option_strings:
                words += [*action.option_strings[:1], values]
        return f"usage: {' '.join([self.prog, *words])} [--flag value ...]\n"

    def format_help(self) -> str:
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        formatter.add_text(self.format_usage().rstrip())
        for title, actions in self.grouped().items():
            formatter.start_section(title)
            formatter.add_arguments(map(_described, actions))
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def grouped(self) -> dict[str, list[argparse.Action]]:
        """The arguments under the titles of the help, those that must be given first."""
        one_of = [action for group in self._mutually_exclusive_groups if group.required for action in group._group_actions]
        groups = {"must be given": [action for action in self._actions if action.required],
                  "one of these must be given": one_of}
        for group in self._action_groups:
            title = "may be given" if group in (self._positionals, self._optionals) else group.title
            actions = [action for action in group._group_actions if not action.required and action.dest != "help"]
            groups.setdefault(title, []).extend(action for action in actions if action not in one_of)
        return {title: actions for title, actions in groups.items() if actions}


def _around(about: str) -> tuple[str, str]:
    """``about`` up to the end of its first example (lines that are indented), and what follows."""
    example = re.match(r"(?s).*?\n\n(?:    .*?)(?=\n\n(?! )|\Z)", about.rstrip())
    head = example.group() if example else about.partition("\n\n")[0]
    return head.rstrip(), about[len(head):].strip()


def _program() -> str:
    """What was typed: "python -m eval_agent.report.paper", "python state_base_build.py"."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"


def _described(action: argparse.Action) -> argparse.Action:
    """``action`` with the words of every entry before its own, and its default behind them."""
    action = copy.copy(action)
    if action.help is argparse.SUPPRESS:
        return action
    action.option_strings = action.option_strings[:1]  # the others are older words for the same
    words = next((WORDS[flag] for flag in action.option_strings if flag in WORDS), "")
    action.help = ": ".join(filter(None, (words, action.help)))
    takes_value = action.nargs != 0
    if takes_value and action.default not in (None, "", [], argparse.SUPPRESS) and "default" not in action.help.lower():
        action.help += " (default: %(default)s)"
    return action


def positive(text: str) -> int:
    """Type of a flag: a whole number from 1 on; argparse shows the message of what this raises."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a positive whole number")
    return number


def positive_variable(name: str, default: int | None) -> int | None:
    """A whole number from 1 on in the environment; ``default`` where it is not set. Raises InputError."""
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return positive(text)
    except (ValueError, argparse.ArgumentTypeError):
        raise InputError(f'${name} is "{text}", expected a positive whole number') from None
