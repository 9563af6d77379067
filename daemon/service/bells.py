"""Which loop a mailbox with a bell has: its own, or turns with other nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from daemon.intake.bell_rounds import BellRounds, RoundParts
from daemon.intake.late_files import ask_again
from daemon.intake.mailboxes import PolledMailbox, poll_heartbeat
from daemon.intake.reconcile import Reconciliation
from daemon.intake.turns import Turns
from daemon.runtime.schedule import WakeEvent
from daemon.service.app import App
from daemon.service.bell_loop import BellLoop
from daemon.service.bell_turns import BellTurns
from daemon.service.room import Room
from daemon.service.status_line import StatusLine


def run_by_bell(
    app: App,
    box: PolledMailbox,
    room: Room,
    status: StatusLine,
    stopping: threading.Event,
    stored: Callable[[], None],
    changed: Callable[[], None],
    wake: WakeEvent,
) -> bool:
    """Run the loop of a mailbox whose bell is switched on, until the service is stopped.

    Returns False at once for other mailboxes. Raises StoreError.
    """
    if box.bell is None or box.bell.rings_every is None:
        return False
    beat = partial(app.heartbeats.beat, poll_heartbeat(box.mailbox.name))
    parts = RoundParts(
        intake=app.intake,
        reconciliation=Reconciliation(store=app.store, intake=app.intake),
        box=box,
        bell=box.bell,
        every=box.bell.rings_every,
        beat=beat,
    )
    turns: Turns | None = None
    if app.role.node:
        turns = Turns(app.store, app.role, app.clock, box.mailbox.name, box.bell.rings_every)

    def stored_in_turn() -> None:
        stored()
        if turns:
            turns.renew()

    given: dict[str, Any] = {
        "name": box.mailbox.name,
        "bell": box.bell,
        "new_rounds": partial(BellRounds, parts),
        "resources": app.resources,
        "heartbeats": app.heartbeats,
        "problems": app.problems,
        "room": room,
        "status": status,
        "clock": app.clock,
        "stopping": stopping,
        "stored": stored_in_turn,
        "changed": changed,
        "wake": wake,
        "parties": lambda: len({each.party for each in box.mailbox.channels()}),
        "ask_again": partial(ask_again, app.intake, box.mailbox, stopping, beat),
    }
    loop = BellTurns(**given, turns=turns, owner=app.role.owner) if turns else BellLoop(**given)
    loop.run()
    return True
