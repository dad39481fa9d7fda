"""``--delay-ps`` with equal bins: a delay that most tags fit into is told before hours are spent on it.

The pairs are found by looking back from each tag: all those within the delay are passed one by one, the few
in the window come after them. A mistaken unit (ns for ps) makes that every pair of the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.reanalysis import Request
    from labctl.photons.sources import TagSource

_SHORT_PS = 10**7
"""Under this not even 100 Mcps have many tags within."""
_PASSED_PER_S = 5e8
_TOLD = 5e8
_REFUSED = 2e11


def weigh_delay(sources: Sequence[TagSource], request: Request, out: Output) -> None:
    """Say how long a long delay will take; refuse one that is longer than a record, or hopeless.

    Records are read once more for that, which takes a fraction of the time at stake.

    Args:
        sources: Records to be correlated, each by itself.
        request: What is to be counted of each.
        out: Takes the words.

    Raises:
        InputError: Names the delay, what it would take, and what to do.
    """
    delays = [pair.stop_delay_ps for pair in request.pairs if abs(pair.stop_delay_ps) >= _SHORT_PS]
    if not delays:
        return
    given, delay_ps = f"--delay-ps {delays[0]}", abs(delays[0])
    passed = 0.0
    for source in sources:
        tags, span_ps = _tags_and_span(source, request)
        if span_ps <= delay_ps - request.window_ps:
            raise InputError(
                f"{given}: what is correlated of {source.path} lasts {span_ps * 1e-12:.4g} s, and no two of "
                f"its tags are {delay_ps * 1e-12:.4g} s apart; the delay is in ps"
            )
        within = min((delay_ps + request.window_ps) / span_ps, 1.0)
        passed += sum(
            float(tags.get(pair.start_channel, 0)) * tags.get(pair.stop_channel, 0) * within
            for pair in request.pairs
            if pair.stop_delay_ps
        )
    if passed < _TOLD:
        return
    what = (
        f"{given} ({delay_ps * 1e-12:.4g} s): {passed:.2g} pairs of tags lie within this delay, and are "
        f"passed one by one to find those at its end (about {_in_words(passed / _PASSED_PER_S)} on one core)"
    )
    advice = (
        "the delay is in ps; where it is not known yet, look for it with --log and no --delay-ps; where it "
        "is, take it out of the stop's time stamps before they are recorded (`delay_ps` in the rig file)"
    )
    if passed > _REFUSED:
        raise InputError(f"{what}; {advice}")
    out.say(f"{what}; {advice}")


def _tags_and_span(source: TagSource, request: Request) -> tuple[dict[int, int], int]:
    """Tags by channel, and ps from the beginning of the range asked for to its end."""
    from labctl.photons.reanalysis import add_tally, in_range, tally

    tags: dict[int, int] = {}
    begin_ps = end_ps = None
    for chunk in in_range(source.read(), request):
        begin_ps = chunk.begin_ps if begin_ps is None else begin_ps
        end_ps = chunk.end_ps
        add_tally(tags, tally(chunk.channels))
    return tags, 0 if begin_ps is None or end_ps is None else end_ps - begin_ps


def _in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
