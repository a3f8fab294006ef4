"""The house's rules: imports go one way, nobody imports an entry, and Python never calls a shell script."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = [  # a room may import from the rooms in the rows above it
    {"errors"}, {"command_line", "files", "fields", "connection", "progress"}, {"model_folder", "webshop"}, {"tasks"}, {"config"},
    {"trajectories", "envs", "agents"}, {"rules"}, {"knowledge"},
    {"demo", "serve", "episode"}, {"evaluation"}, {"report"}, {"train"},
]
HEIGHT = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text())
    for path in [*ROOT.glob("*.py"), *ROOT.glob("eval_agent/**/*.py"), *ROOT.glob("train/**/*.py")]
}
# entries stand above all rooms: "if __name__" with a main() of their own
ENTRIES = {name for name, tree in TREES.items() if any(getattr(node, "name", "") == "main" for node in tree.body)}


def room(module: str) -> str:
    return "train" if module.startswith("train") else module.split(".")[1]


def imports(name: str) -> set[str]:
    typing_only = {node for branch in ast.walk(TREES[name]) if isinstance(branch, ast.If)
                   and ast.unparse(branch.test) == "TYPE_CHECKING" for node in ast.walk(branch)}
    found = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.ImportFrom) and node not in typing_only]
    return {node.module for node in found if re.match(r"(eval_agent|train)\.", node.module or "")}


def test_imports_go_one_way():
    arrows = [(name, other) for name in TREES.keys() - ENTRIES if "." in name for other in imports(name)]
    assert len(arrows) > 100
    wrong = [f"{name} imports {other}" for name, other in arrows
             if room(name) != room(other) and HEIGHT[room(other)] >= HEIGHT[room(name)]]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_an_entry():
    assert len(ENTRIES) > 10
    assert not [(name, other) for name in TREES for other in imports(name) & ENTRIES]


def test_python_never_calls_bash():
    shell = re.compile(r"""subprocess\.\w+\(\[['"](bash|sh)['"]|\[['"]bash['"], |os\.system\(|shell=True""")
    assert not [name for name, tree in TREES.items() if shell.search(ast.unparse(tree))]
