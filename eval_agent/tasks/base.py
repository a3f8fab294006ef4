"""What a task is: one instance of a benchmark that an env can start."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A task's name (safe as a file name) and its kind. Every further field is a plain JSON value."""

    task_id: str
    task_type: str
