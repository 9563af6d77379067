"""Commands that fetch and deliver: the service itself, one round of it, and reconciliation."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table
from daemon.core.errors import ConfigurationError, PostmottakError

if TYPE_CHECKING:
    from daemon.config.store import StoreSettings
    from daemon.service.poll_summary import PollSummary


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (run, poll, reconcile):
        app.command()(command)


def run(context: typer.Context) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT."""
    from daemon.runtime import logs
    from daemon.runtime.process import freeze_gc
    from daemon.runtime.start_fault import clear_start_fault
    from daemon.runtime.systemd import SystemdNotifier
    from daemon.service import app, stack
    from daemon.service.away import when_reachable
    from daemon.service.supervisor import Supervisor
    from daemon.service.table_in_force import load_for_work

    logs.configure()
    notifier = SystemdNotifier()
    notifier.opening()
    signal.signal(signal.SIGTERM, _end_before_start)
    try:
        checked = when_reachable(
            lambda: load_for_work(options(context).config, as_owner_of), notifier
        )
    except ConfigurationError as error:
        stack.note_why_not_started(options(context).config, error)
        raise
    with ends_in_time(), app.open_app(checked, with_workers=True) as parts:
        clear_start_fault(checked.configuration.store.beside)
        service = Supervisor(parts)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: service.stop())
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        freeze_gc()
        ended = service.run()
    if not ended:
        _leave_at_once(Exit.FINE)


def _end_before_start(_number: int, _frame: object) -> NoReturn:
    """End the process wherever it is, as SIGINT does.

    Nothing is under way yet, and a wait for the database may be inside libpq.
    """
    raise SystemExit(Exit.FINE)


@contextmanager
def ends_in_time() -> Iterator[None]:
    """When the block fails, let no thread that hangs keep the process from its end.

    Without this, it would be there and do nothing, and would not be started again.
    """
    try:
        yield
    except PostmottakError as error:
        # Python waits for these, however long their calls take
        if all(each.daemon or each is threading.main_thread() for each in threading.enumerate()):
            raise
        with suppress(OSError, PostmottakError):
            sys.stderr.write(f"{error}\n")
        _leave_at_once(Exit.UNREACHABLE)


def as_owner_of(store: StoreSettings) -> None:
    """Go on as the store's owner if root gave the command, as the service would.

    So drops and letters are the service's own. The files and secrets are read already.
    """
    from daemon.runtime.owner import become_owner_of

    if name := become_owner_of(store.beside.parent):
        sys.stderr.write(f"root goes on as {name}, who owns the store\n")


def _leave_at_once(code: Exit) -> NoReturn:
    """Exit without waiting for threads that hang in a call to another system.

    What they did not finish is repeated at the next start.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(
            OSError, PostmottakError
        ):  # a stream that cannot be written must not prevent the exit
            stream.flush()
    os._exit(code)


def poll(context: typer.Context, *, json: Json = False) -> None:
    """Run one round: list, fetch and route letters, and deliver what is due.

    Exits with code 3 if work remains.
    """
    from daemon.runtime import logs
    from daemon.service import app
    from daemon.service.table_in_force import load_for_work

    logs.configure()
    checked = load_for_work(options(context).config, as_owner_of)
    stopping = _until_signalled()
    with app.open_app(checked) as parts:
        parts.store.wait_until(stopping)
        summary = parts.poll(stopping)
    _print_poll(summary, json=json)
    raise typer.Exit(_poll_exit(summary, called_off=stopping.is_set()))


def _poll_exit(summary: PollSummary, *, called_off: bool) -> Exit:
    if summary.unreachable:
        return Exit.UNREACHABLE
    if (
        called_off
        or summary.problems
        or summary.ignored
        or summary.unfinished
        or summary.marks_failed
    ):
        return Exit.REMAINS
    return Exit.FINE


def _print_poll(summary: PollSummary, *, json: bool) -> None:
    from daemon.core.model import Outcome

    numbers: dict[str, Any] = {
        "listed": summary.total(lambda each: each.listed),
        "fetched": summary.total(lambda each: each.fetched),
        "stored": summary.total(lambda each: each.stored),
        "delivered": summary.outcomes[Outcome.DELIVERED],
        "deferred": summary.outcomes[Outcome.DEFERRED],
        "dead": summary.outcomes[Outcome.DEAD],
        "errors": len(summary.problems) + summary.marks_failed,
        "gone": summary.total(lambda each: each.gone),
        "waiting": summary.total(lambda each: each.waiting),
        "duplicates": summary.total(lambda each: each.duplicates),
        "notices": summary.total(lambda each: each.notices),
    }
    if json:
        remarks = [remark for each in summary.intake for remark in each.remarks]
        print_json(
            {
                **numbers,
                "undone": summary.unfinished,
                "problems": summary.problems,
                "remarks": remarks,
            }
        )
        return
    print_table(list(numbers), [list(numbers.values())])
    for problem in _grouped(summary.problems):
        typer.echo(problem)


def _grouped(problems: Sequence[str]) -> Iterator[str]:
    """Yield what went wrong, once for each cause, with how often and where it was the first time.

    What a problem is about stands before its first colon.
    """
    causes: dict[str, list[str]] = {}
    for each in problems:
        about, _, why = each.partition(": ")
        causes.setdefault(why or about, []).append(each)
    for some in causes.values():
        yield f"{len(some)} times, first: {some[0]}" if len(some) > 1 else some[0]


def reconcile(context: typer.Context, *, json: Json = False) -> None:
    """Compare all letters in Altinn with all stored letters; fetch and deliver any missing ones.

    Exits with code 3 if work remains.
    """
    from daemon.runtime import logs
    from daemon.service import app
    from daemon.service.table_in_force import load_for_work

    logs.configure()
    checked = load_for_work(options(context).config, as_owner_of)
    stopping = _until_signalled()
    with app.open_app(checked) as parts:
        parts.store.wait_until(stopping)
        found = parts.reconcile(stopping)
        parts.deliver_due(stopping)
        unfinished = parts.store.queries.unfinished()
    if json:
        print_json(found)
    else:
        for compared in found:
            typer.echo(compared.sentence)
            for problem in compared.problems:
                typer.echo(f"  {problem}")
    if (
        any(
            len(compared.missing) > compared.fetched or compared.unseen or compared.problems
            for compared in found
        )
        or unfinished
    ):
        raise typer.Exit(Exit.REMAINS)


def _until_signalled() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set.

    The main thread must not wait for it: see `Supervisor`.
    """
    stopping = threading.Event()
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        if len(asked) == 1:  # a second signal may arrive while this line handles the first
            stopping.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, ask)
    return stopping
