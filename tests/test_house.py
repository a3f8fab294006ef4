"""The house's two rules: imports go one way only, and Python never calls a shell script."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# each room may import from the rooms before it; rooms in one row know of each other only downwards, see INSIDE
ROWS = [
    {"errors"}, {"files"}, {"tasks"}, {"config"}, {"trajectories", "envs", "agents"}, {"rules"}, {"knowledge"},
    {"demo"}, {"serve"}, {"episode"}, {"evaluation"}, {"report"}, {"train"},
]
HEIGHT = {room: row for row, rooms in enumerate(ROWS) for room in rooms}


def modules() -> dict[str, ast.Module]:
    """Every module of the two packages by its dotted name; the entries, which stand above all rooms, left out."""
    paths = [path for folder in ("eval_agent", "train") for path in (ROOT / folder).rglob("*.py")]
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in paths}
    return {name: ast.parse(text) for name, text in found.items() if 'if __name__ == "__main__":' not in text}


def room(module: str) -> str:
    package, name, *_ = [*module.split("."), ""]
    return "train" if package == "train" else name


def imports(tree: ast.Module) -> set[str]:
    """What a module imports of ours when it runs (not for type checkers alone)."""
    typing_only = [n for branch in ast.walk(tree) if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
                   for n in ast.walk(branch)]
    found = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n not in typing_only]
    return {n.module for n in found if re.match(r"(eval_agent|train)\b", n.module or "")}


def test_imports_go_one_way():
    wrong = [
        f"{name} imports {imported}"
        for name, tree in modules().items() for imported in imports(tree)
        if room(imported) != room(name) and HEIGHT[room(imported)] >= HEIGHT[room(name)]
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_an_entry():
    entries = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("eval_agent/**/*.py")
               if 'if __name__ == "__main__":' in path.read_text()}
    wrong = [f"{name} imports {imported}" for name, tree in modules().items() for imported in imports(tree) & entries]
    assert not wrong, "\n".join(wrong)


def test_python_never_calls_bash():
    for path in [*ROOT.glob("*.py"), *ROOT.glob("eval_agent/**/*.py"), *ROOT.glob("train/**/*.py")]:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Call, ast.List))]
        shells = [node for node in calls if re.match(r"""(subprocess\.\w+\()?\[?['"](bash|sh)['"]|os\.system""", ast.unparse(node))]
        assert not shells, f"{path}: {ast.unparse(shells[0])}"
