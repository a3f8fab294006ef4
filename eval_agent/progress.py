"""Progress: a bar on a terminal; in a log file or a pipe a line at most every 30 seconds, and one at the end.

    from eval_agent.progress import tqdm

To import this module is enough to have it so for every bar of the process, those of transformers (its Trainer's,
"Loading checkpoint shards"), datasets and huggingface_hub too: all of them are subclasses of this one ``tqdm``.
"""

import time

from tqdm import tqdm

__all__ = ["tqdm"]
SECONDS = 30.0  # between two lines of one bar

_clear, _close, _display, _moveto = tqdm.clear, tqdm.close, tqdm.display, tqdm.moveto


def _in_lines(bar: tqdm) -> bool:
    """Whether what ``bar`` writes to is no terminal."""
    if not hasattr(bar, "in_lines"):
        is_terminal = getattr(bar.fp, "isatty", lambda: False)
        bar.in_lines, bar.line_at, bar.line_n = not is_terminal(), time.monotonic(), None
    return bar.in_lines


def _write_line(bar: tqdm) -> None:
    bar.line_at, bar.line_n = time.monotonic(), bar.n
    bar.fp.write(f"{bar}\n")
    getattr(bar.fp, "flush", lambda: None)()


def display(bar: tqdm, msg: str | None = None, pos: int | None = None) -> bool:
    """In place of ``tqdm.display``, which every update, refresh and postfix ends in."""
    if not _in_lines(bar):
        return _display(bar, msg, pos)
    if time.monotonic() - bar.line_at < SECONDS:
        return False
    _write_line(bar)
    return True


def close(bar: tqdm) -> None:
    """In place of ``tqdm.close``: the last line is written where a terminal would keep the bar."""
    if getattr(bar, "disable", True) or not hasattr(bar, "sp") or not _in_lines(bar):
        return _close(bar)
    bar.disable = True
    stays = bar.pos == 0 if bar.leave is None else bar.leave
    bar._decr_instances(bar)
    lasted = time.time() - bar.start_t
    if stays and bar.n != bar.line_n and lasted >= bar.delay and not getattr(bar.fp, "closed", False):
        bar._ema_dt = lambda: None  # as tqdm does: the rate over all
        _write_line(bar)


def clear(bar: tqdm, nolock: bool = False) -> None:
    """In place of ``tqdm.clear``, which ``tqdm.write`` calls to put a message above the bars."""
    if bar.disable or not _in_lines(bar):
        _clear(bar, nolock)


def moveto(bar: tqdm, n: int) -> None:
    """In place of ``tqdm.moveto``: lines have no places to move between."""
    if not _in_lines(bar):
        _moveto(bar, n)


tqdm.clear, tqdm.close, tqdm.display, tqdm.moveto = clear, close, display, moveto
