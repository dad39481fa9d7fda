"""The person at the terminal as the rig's operator: reads a question, does it, presses Enter."""

from __future__ import annotations

import sys
import threading

from drivers.clock import Clock
from drivers.operator import OperatorDesk, Question
from labctl.cli.output import Output


def person_at_terminal(clock: Clock, out: Output) -> OperatorDesk | None:
    """Somebody to ask, or None where standard input is no terminal (a night started by a script).

    Args:
        clock: The experiment's clock.
        out: Where questions are shown.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return None

    def show(question: Question) -> None:
        minutes = question.timeout_s / 60.0
        out.say(f"PLEASE: {question.text} Press Enter when it is done (within {minutes:.0f} min).")

    desk = OperatorDesk(clock, show)
    # A daemon: a read of the terminal cannot be broken off, and must not hold up the end of the programme.
    threading.Thread(target=_read, args=(desk,), name="operator at the terminal", daemon=True).start()
    return desk


def _read(desk: OperatorDesk) -> None:
    for _ in sys.stdin:
        waiting = desk.questions()
        if waiting:
            desk.confirm(waiting[0].number)
