"""What `status` prints for people: a screen, however many organisations there are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import typer

from daemon.cli.output import counted, print_table, printable
from daemon.cli.tables import local
from daemon.core.causes import split_reason
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.monitoring.health import Health
from daemon.monitoring.problem import Problem
from daemon.service.standing import Standing

_CAUSES = 6
_PASSING = 3
_OTHERS = 3  # dates, faults and warnings of one sort
_LINE = 240  # characters
_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b")
_SIGHTINGS = {
    "waiting": (
        "confidential letter waits in Altinn, unopened",
        "confidential letters wait in Altinn, unopened",
    ),
    "failing": ("letter could not be fetched yet", "letters could not be fetched yet"),
    "gone": (
        "letter was removed before it could be fetched",
        "letters were removed before they could be fetched",
    ),
    "duplicate": (
        "letter had been stored already, under its Altinn 2 id",
        "letters had been stored already, under their Altinn 2 ids",
    ),
    "older": (
        "letter is older than the first poll; left in the mailbox",
        "letters are older than the first poll; left in the mailbox",
    ),
}
"""What a sighting's state means, for one letter and for several."""


def print_status(
    health: Health, facts: Mapping[str, Any], standing: Standing, *, everything: bool
) -> None:
    """Print whether all is well, what needs attention, and counts; or `everything`."""
    for line in (health.headline, *_problems(health, everything=everything)):
        typer.echo(printable(_in_local_time(line)))
    typer.echo()
    for line in (
        *_letters(facts),
        *_deliveries(facts),
        *_mailboxes(facts["channels"]),
        *_bells(facts["bells"]),
        *_table(standing),
        *_dates(facts["expiries"]),
        *_untold(facts["alerts"], everything=everything),
    ):
        typer.echo(printable(line))
    if everything:
        _print_tables(facts)
    elif facts["channels"]:
        typer.echo("`postmottak status --all` shows each channel and letter")


def _in_local_time(text: str) -> str:
    """Return a stored text, whose times are in UTC, with the times that stand beside it."""
    return _UTC.sub(_local_moment, text)


def _local_moment(found: re.Match[str]) -> str:
    try:
        when = datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return found[0]
    return local(when, "%Y-%m-%d %H:%M %Z")


def _problems(health: Health, *, everything: bool) -> Iterator[str]:
    causes = health.causes
    shown = causes if everything else causes[:_CAUSES]
    for place, cause in enumerate(shown):
        yield from _cause(cause, is_told=place == 0, everything=everything)
    if len(causes) > len(shown):
        yield f"and {len(causes) - len(shown)} other problems; see `postmottak status --all`"
    passing = health.passing if everything else health.passing[:_PASSING]
    for each in passing:
        yield f"no alarm: {_cut(each.text, everything=everything)}"
    if len(health.passing) > len(passing):
        yield f"no alarm: and {len(health.passing) - len(passing)} more"


def _cause(cause: Sequence[Problem], *, is_told: bool, everything: bool) -> Iterator[str]:
    """The worst of it, unless the headline has told it, its remedy, and the first of each kind."""
    first = cause[0]
    what, remedy = split_reason(first.text)
    level = "CRITICAL" if first.critical else "warning"
    if everything or not is_told:
        yield f"{level}: {_cut(what, everything=everything)}"
    if remedy:
        yield f"    {_cut(remedy, everything=everything)}"
    kinds = {each.kind: each for each in reversed(cause)}
    for each in cause[1:]:
        if everything or (each is kinds[each.kind] and each.kind != first.kind):
            yield f"    {_cut(each.text, everything=everything)}"


def _cut(text: str, *, everything: bool) -> str:
    """Shorten what is for a terminal; another program gets everything."""
    whole = everything or len(text) <= _LINE or not sys.stdout.isatty()
    return text if whole else f"{text[: _LINE - 1]}…"


def _letters(facts: Mapping[str, Any]) -> Iterator[str]:
    last = facts["last_message_at"]
    received = f"last received {local(last)}" if last else "none received yet"
    yield f"{counted(facts['messages'], 'letter')} stored; {received}"
    listed = facts["listed"]
    beside = [(listed[name], words) for name, words in _SIGHTINGS.items() if listed[name]]
    numbers = [number for number, _ in beside]
    for number, words in beside:
        yield f"  {counted(number, *words)}"
    if beside:
        parts = " + ".join(f"{number}" for number in (listed["stored"], *numbers))
        yield f"  together {listed['total']} that were listed = {parts}"
    yield facts["completeness"]["sentence"]
    if facts["incomplete"]:
        letters = counted(len(facts["incomplete"]), "letter lacks", "letters lack")
        yield f"{letters} attachments that were sent (see `postmottak messages refetch`)"
    if facts["legal_holds"]:
        yield f"letters under a legal hold: {facts['legal_holds']}"


def _deliveries(facts: Mapping[str, Any]) -> Iterator[str]:
    states = [f"{count} {state}" for state, count in facts["deliveries"].items() if count]
    yield f"deliveries: {', '.join(states) or 'none yet'}"
    if facts["oldest_undelivered_at"]:
        yield f"oldest undelivered letter: {local(facts['oldest_undelivered_at'])}"
    if facts["not_taken"]:
        yield f"not picked up in time: {counted(len(facts['not_taken']), 'letter')}"


def _mailboxes(channels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each mailbox."""
    for name, some in groupby(channels, key=lambda each: str(each["mailbox"])):
        current = [each for each in some if not each["retired_at"]]
        read = [each["succeeded_at"] for each in current if each["succeeded_at"]]
        parties = len({each["party"] for each in current})
        failing = sum(bool(each["failing_since"]) for each in current)
        refused = [
            each["service"]
            for each in current
            if each["refused"] and not each["begun"] and not each["failing_since"]
        ]
        closed = refused.count(CONFIDENTIAL_POST.code)
        presumed = len(refused) - closed
        words = (
            f"last read {local(max(read))}" if read else "never read",
            f"{failing} cannot be read" * bool(failing),
            f"{counted(presumed, 'presumed channel')} cannot be read" * bool(presumed),
            f"{counted(closed, 'channel')} of confidential post cannot be read" * bool(closed),
        )
        organisations = counted(parties, "organisation")
        yield (
            f"mailbox {name}: {organisations}, {counted(len(current), 'channel')}; "
            f"{', '.join(word for word in words if word)}"
        )


def _bells(bells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each mailbox with a bell."""
    for each in bells:
        if not each["rang_at"]:
            continue
        by_list = f", {each['parties_listed']} read by lists" * bool(each["parties_listed"])
        found = ", ".join(
            f"{each[f'found_by_{by}']} by {words}"
            for by, words in (
                ("bell", "the bell"),
                ("overlap", "its overlap"),
                ("walk", "the daily comparison"),
                ("list", "lists"),
            )
        )
        organisations = counted(each["parties_heard"], "organisation")
        yield (
            f"bell of {each['mailbox']}: last answered {local(each['rang_at'])} for "
            f"{organisations}{by_list}; letters found: {found}"
        )


def _table(standing: Standing) -> Iterator[str]:
    if standing.version and standing.in_force_since:
        since = local(standing.in_force_since)
        yield f"routing table {standing.version[:12]} active since {since}"
    if standing.state == "edited":
        yield f"{standing.file} has changes; the service or the next poll activates them"
    if standing.state == "faulty":
        yield f"{standing.file} has errors; the previous table stays active:"
    yield from _first([f"  {fault}" for fault in standing.faults], "postmottak check")
    yield from _first(
        [f"  warning: {warning}" for warning in standing.warnings], "postmottak check"
    )


def _first(lines: Sequence[str], command: str) -> Iterator[str]:
    yield from lines[:_OTHERS]
    if len(lines) > _OTHERS:
        yield f"  and {len(lines) - _OTHERS} more; see `{command}`"


def _dates(expiries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _first(
        [
            f"the {each['what']} of {each['of']} expires on {each['ends_at']:%Y-%m-%d}"
            for each in expiries
        ],
        "postmottak status --json",
    )


def _untold(alerts: Sequence[Mapping[str, Any]], *, everything: bool) -> Iterator[str]:
    left = [each for each in alerts if each["not_told"]]
    for each in left if everything else left[:1]:
        names = ", ".join(each["not_told"])
        text = _in_local_time(_cut(each["text"], everything=everything))
        yield f"alert not yet sent to {names}: {text}"
    if len(left) > 1 and not everything:
        yield f"and {counted(len(left) - 1, 'other alert')} not yet sent"


def _print_tables(facts: Mapping[str, Any]) -> None:
    """Print every channel, every letter that is not here, and what was not picked up."""
    for name, words in _SIGHTINGS.items():
        if isinstance(facts[name], list) and facts[name]:
            typer.echo(f"\n{counted(len(facts[name]), *words)}:")
            columns: tuple[str, ...] = ("party", "service", "id", "first seen", "reason")
            print_table(columns, [list(each.values()) for each in facts[name]])
    if facts["incomplete"]:
        typer.echo("\nletters without some of their attachments:")
        columns = ("message", "received", "missing", "may still arrive")
        print_table(columns, [list(each.values()) for each in facts["incomplete"]])
    for late in facts["not_taken"]:
        delivered = local(late["delivered_at"])
        typer.echo(printable(f"not picked up in time: {late['reference']}, delivered {delivered}"))
    if facts["channels"]:
        typer.echo("\nchannels:")
        keys = ("mailbox", "party", "service", "resource", "succeeded_at", "failed_at")
        columns = (*keys[:4], "last read", "last failure", "reason")
        rows = [
            [*(each[key] for key in keys), each["last_error"]]
            for each in facts["channels"]
            if not each["retired_at"]
        ]
        print_table(columns, rows)
