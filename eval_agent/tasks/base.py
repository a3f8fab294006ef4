"""What a task is: one instance of a benchmark that an env can start."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Task:
    """A task's name (safe as a file name) and its kind. Every further field is a plain JSON value."""

    task_id: str
    task_type: str

    @property
    def benchmark(self) -> str:
        """"alfworld" of tasks/alfworld.py: what the benchmark is called wherever it has a module or a text."""
        return type(self).__module__.rpartition(".")[2]

    def identity(self) -> dict:
        """All that makes the task what it is, as JSON, for the keys of what is kept about it."""
        return asdict(self)
