"""`messages show` and `deliveries show` for people: a page, with what is asked for most first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from daemon.cli.tables import day_in_norway, in_words, local, print_heading, print_page, printable

Facts = Mapping[str, Any]
"""What `--json` prints of a letter or a delivery."""

_WAITS = frozenset({"pending", "claimed"})
_MILLISECONDS = 1000  # in a second


def print_message(facts: Facts) -> None:
    """Print a letter: what it is, where it went and why, and what became of it."""
    print_page(_about_message(facts))
    _print_attachments(facts["attachments"])
    for decision in reversed(facts["decisions"]):
        print_heading("Routed" if decision is facts["decisions"][-1] else "Routed before")
        print_page(_about_decision(decision), "  ")
    for delivery in facts["deliveries"]:
        print_heading(f"Delivery {delivery['id']}")
        _print_delivery(delivery)
    _print_lines("Acknowledgement", map(_answer, facts["acknowledgements"]))
    if facts["acknowledge_by"] and not facts["acknowledgements"]:
        typer.echo(f"\nTo be acknowledged by {local(facts['acknowledge_by'])}")
    _print_lines("Deadline", map(_said_of_deadline, facts["deadline_answers"]))
    _print_lines("Reminders", map(_reminder, facts["reminders"]))
    _print_lines(
        "Opened at the sender's, which is seen there",
        map(_opening, filter(None, [facts["opening"]])),
    )
    _print_lines("Told to the sender", map(_mark, facts["marks"]))
    _print_lines("Deleted by retention", map(_deletion, facts["deletions"]))
    _print_lines("Legal holds", map(_hold, facts["legal_holds"]))


def print_remains(facts: Facts) -> None:
    """Print what was kept of a letter that retention deleted."""
    typer.echo("Retention has deleted this letter. This is what was kept:\n")
    print_page(
        [
            ("service", service_name(facts["service"])),
            ("for", facts["party"]),
            ("deleted", facts["deleted_at"]),
            *_origin(facts),
            ("id", facts["message_id"]),
        ]
    )
    _print_lines("Deleted by retention", map(_deletion, facts["deletions"]))


_NOT_HERE = {
    "waiting": (
        "confidential post, which Postmottak lists and does not open: to open it marks it as read "
        "in Altinn; read it there"
    ),
    "failing": "it could not be fetched yet; it is tried again",
    "gone": "it was removed before it could be fetched",
    "duplicate": "it is stored already, under its Altinn 2 id",
    "older": "it is older than the first poll, and is left in the mailbox",
}


def print_listed(facts: Facts) -> None:
    """Print what is known of a letter that is only listed, and why it is not here."""
    print_page(
        [
            ("letter", f"{facts['external_id']}, not stored"),
            ("why", _NOT_HERE[facts["state"]]),
            ("reason", facts["last_error"]),
            ("mailbox", facts["mailbox"]),
            ("party", facts["party"]),
            ("service", service_name(facts["service"])),
            ("resource", facts["resource"]),
            ("first seen", facts["first_seen_at"]),
            ("last seen", facts["last_seen_at"]),
        ]
    )


def print_delivery(facts: Facts, letter: Facts) -> None:
    """Print a delivery: of which letter, how it stands, and every attempt."""
    print_page(
        [
            ("letter", letter["title"]),
            ("from", sender_name(letter)),
            ("service", service_name(letter["service"])),
            ("received", letter["fetched_at"]),
            ("id of the letter", letter["id"]),
        ]
    )
    print_heading(f"Delivery {facts['id']}")
    _print_delivery(facts)


def service_name(code: str) -> str:
    """Return a service's code with its name, if it has one."""
    from daemon.core.dpv import find_service

    known = find_service(code)
    return f"{code} {known.nb}" if known else code


def sender_name(facts: Facts) -> str:
    """Return who sent a letter: the name, the organisation number, or both."""
    name, number = facts["sender_name"], facts["sender_org"]
    return f"{name} ({number})" if name and number else name or number or ""


def _about_message(facts: Facts) -> list[tuple[str, object]]:
    flags = ("confidential", "confirmation_needed")
    return [
        ("title", facts["title"]),
        ("from", sender_name(facts)),
        ("for", facts["party"]),
        ("service", service_name(facts["service"])),
        ("received", facts["fetched_at"]),
        ("published", facts["published_at"]),
        ("due", facts["due_at"]),
        ("deadline", _deadline(facts["deadline"])),
        *((name.replace("_", " "), True) for name in flags if facts[name]),
        ("sender's reference", facts["sender_reference"]),
        ("summary", " ".join(facts["summary"].split())),
        ("text deleted", facts["body_deleted_at"]),
        *_origin(facts),
        ("id", facts["id"]),
    ]


def _deadline(deadline: Facts | None) -> str:
    """Return the deadline that holds, and how it is known."""
    if deadline is None:
        return ""
    by = f" by {printable(deadline['confirmed_by'])}" if deadline["confirmed_by"] else ""
    return f"{day_in_norway(deadline['due_at'])}, {deadline['source']}{by}"


def _origin(facts: Facts) -> list[tuple[str, object]]:
    return [
        ("mailbox", f"{facts['mailbox']}, resource {facts['resource']}"),
        ("id in the mailbox", facts["external_id"]),
        ("id in Altinn 2", facts["altinn2_id"]),
    ]


def _print_attachments(parts: Iterable[Facts]) -> None:
    from rich.filesize import decimal

    shown = [
        ", ".join(
            [
                printable(part["original_name"]),
                *([decimal(part["size"])] if part["size"] is not None else []),
                *([] if part["state"] == "present" else [part["state"].replace("_", " ")]),
                *(["accepted as missing"] if part["accepted_at"] else []),
                *_why_missing(part),
            ]
        )
        for part in parts
    ]
    _print_lines("Attachments", shown)


def _why_missing(part: Facts) -> list[str]:
    """Return why an attachment is not here, and when it is asked for again; or when it came."""
    missing = part["missing"]
    if missing is None:
        return []
    if missing["came_at"]:
        return [f"came later, {local(missing['came_at'])}"]
    again = "not asked for again by itself"
    if missing["due_at"]:
        again = f"asked for again {local(missing['due_at'])}"
    times = f"after {missing['tries']} tries" if missing["tries"] > 1 else ""
    return [*filter(None, (printable(missing["reason"]), times, again))]


def _opening(opening: Facts) -> str:
    """Return who opened the letter at the other side, and why; or why not yet."""
    why = f"by {printable(opening['by'])}: {printable(opening['why'])}"
    if opening["opened_at"]:
        return f"{local(opening['opened_at'])} {why}"
    return f"not yet, {why}" + (
        f"; {printable(opening['last_error'])}" if opening["last_error"] else ""
    )


def _about_decision(decision: Facts) -> list[tuple[str, object]]:
    why = decision["why"]
    return [
        ("to", [*decision["recipients"], *decision["direct"]]),
        ("by the route", decision["route"]),
        ("because", why.get("conditions")),
        ("follows", why.get("thread", {}).get("earlier")),
        ("copies by", why.get("copies")),
        ("covers", [f"{each['to']} for {each['from']}" for each in why.get("delegations", ())]),
        ("decided", decision["decided_at"]),
        ("table", decision["routing_version"][:12]),
    ]


def _print_delivery(facts: Facts) -> None:
    waits = facts["state"] in _WAITS
    print_page(
        [
            ("destination", facts["destination"]),
            ("for", facts["recipients"]),
            ("state", facts["state"]),
            ("reason", facts["last_error"] if facts["state"] != "delivered" else None),
            ("next attempt", facts["due_at"] if waits else None),
            ("delivered", facts["delivered_at"]),
            ("awaits pickup", facts["awaiting_pickup"] or None),
            ("taken", facts["taken_at"]),
            ("rejected", facts["rejection"]),
            ("receipt", facts["evidence"]),
            ("queued", facts["created_at"]),
            ("sent before", facts["generation"] - 1 or None),
            *(
                (f"attempt {number}", _attempt(each))
                for number, each in enumerate(facts["tries"], start=1)
            ),
        ],
        "  ",
    )


def _attempt(facts: Facts) -> str:
    seconds = facts["duration_ms"] / _MILLISECONDS
    said = f"{local(facts['started_at'])}: {facts['outcome']} after {seconds:.1f} s"
    return f"{said}: {facts['reason']}" if facts["reason"] else said


def _mark(facts: Facts) -> str:
    waits = {"waiting": "waits for the deliveries", "due": "due", "told": "to be verified"}
    done = f"on {local(facts['done_at'])}" if facts["done_at"] else "never: it was dropped"
    said = f"{facts['kind']}: {waits.get(facts['state'], done)}"
    return f"{said}; {printable(facts['last_error'])}" if facts["last_error"] else said


def _reminder(reminder: Facts) -> str:
    told = f"told {local(reminder['told_at'])}" if reminder["told_at"] else "not told yet"
    again = ", again" if reminder["round"] else ""
    return f"{reminder['step']}{again}: {reminder['person']}, {told}"


def _answer(facts: Facts) -> str:
    note = f": {printable(facts['note'])}" if facts["note"] else ""
    return f"{facts['state']} by {printable(facts['by'])}, {local(facts['at'])}{note}"


def _said_of_deadline(facts: Facts) -> str:
    day = f"{day_in_norway(facts['due_at'])} " if facts["due_at"] else ""
    return f"{day}{_answer(facts)}"


def _deletion(facts: Facts) -> str:
    return f"{local(facts['deleted_at'])}: {facts['part']}, by {facts['by']} ({facts['rule']})"


def _hold(facts: Facts) -> str:
    reason = f": {printable(facts['reason'])}" if facts["reason"] else ""
    ended = (
        f", ended {local(facts['ended_at'])} by {facts['ended_by']}" if facts["ended_at"] else ""
    )
    return f"since {local(facts['begun_at'])} by {facts['begun_by']}{ended}{reason}"


def _print_lines(heading: str, lines: Iterable[str]) -> None:
    """Print a part of a page, if there is anything in it."""
    shown = list(lines)
    if shown:
        print_heading(heading)
    for line in shown:
        typer.echo(f"  {in_words(line)}")
