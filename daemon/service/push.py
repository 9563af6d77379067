"""Events of the source: subscriptions are kept, and an event wakes the bells, never more.

What the source has is looked at when the service starts and then every hour, more often while
something is missing. A subscription that is gone is made again; so is one that is not validated,
for that is how validation is asked for. The bell goes on by its own interval, whatever stands
here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from daemon.core.bell import RingsBell
from daemon.core.bookkeeping import EVENTS
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.ports import Finding, Mailbox
from daemon.core.push import Door, Subscribed, Subscribes
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.schedule import WakeEvent

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.service.app import App
    from daemon.web.server import WebServer

_log = structlog.get_logger(__name__)
_EVERY, _SOON = 3600.0, 60.0  # seconds; the second is doubled each time
_LOOKS = 20  # one after the other, at most, while there are more subscriptions to make
_LOOK = 1800.0  # seconds that a look may take, however slow each call is
_SUBJECT = "events"
ENDPOINT_NAME = "[events]"


def events_server(
    configuration: Configuration, wake: Callable[[], None], problems: ServiceProblems
) -> WebServer | None:
    """Return the server of the endpoint; None without a section [events]."""
    settings = configuration.events
    if settings is None:
        return None
    from daemon.web.events import EventsEndpoint
    from daemon.web.server import WebServer

    endpoint = EventsEndpoint(settings.secret_file.value, wake)
    return WebServer(ENDPOINT_NAME, endpoint.application(), settings.listen, problems=problems)


def check_events(mailbox: Mailbox, door: Door) -> Iterator[Finding]:
    """Look at the subscriptions of a mailbox with a bell, and change nothing."""
    if not isinstance(mailbox, RingsBell) or not mailbox.rings_every:
        text = "it has no bell that events could wake, so none are subscribed to"
        yield Finding(subject=_SUBJECT, ok=True, warning=True, text=text)
        return
    if not isinstance(mailbox, Subscribes):
        return
    found = call_connector(lambda: mailbox.subscribed(door), mailbox=mailbox.name)
    if isinstance(found, PostmottakError):
        text = f"{found}. Letters are found by the bell meanwhile"
        yield Finding(subject=_SUBJECT, ok=True, warning=True, text=text)
        return
    text = f"{found.validated} of {found.wanted} subscriptions are in use"
    if found.left_out:
        text += f"; {found.left_out} channels have none, and are left to the bell"
    if found.validated < found.wanted:
        text += (
            "; the service makes the others when it runs, and Altinn validates them when it "
            "reaches `public_url`"
        )
    is_short = found.validated < found.wanted
    yield Finding(subject=_SUBJECT, ok=True, warning=is_short, text=text)


class Subscriber:
    """Keeps the subscriptions of mailboxes with a bell. For one thread."""

    def __init__(self, mailboxes: Sequence[Mailbox], door: Door, problems: ServiceProblems) -> None:
        self._mailboxes: Mapping[str, Subscribes] = {
            each.name: each
            for each in mailboxes
            if isinstance(each, Subscribes) and isinstance(each, RingsBell) and each.rings_every
        }
        self._door, self._problems = door, problems
        self._waiting: dict[str, Collection[int]] = {}
        self._said: dict[str, Subscribed] = {}
        self._has_more = False

    @property
    def has_more(self) -> bool:
        """Whether the last look left subscriptions to be made."""
        return self._has_more

    def look(self) -> bool:
        """Keep the subscriptions; return whether every one is there and validated.

        One that was not validated at the last look is made again, for its validation to be tried
        again.
        """
        self._has_more = False
        kept = [self._keep(name, mailbox) for name, mailbox in self._mailboxes.items()]
        return all(kept)

    def _keep(self, name: str, mailbox: Subscribes) -> bool:
        again = self._waiting.get(name, ())
        found = call_connector(lambda: mailbox.subscribe(self._door, again), mailbox=name)
        if isinstance(found, PostmottakError):
            self._tell(name, str(found))
            return False
        # the next look comes at once while some are missing, which leaves no time for a validation
        self._waiting[name] = () if found.missing else mailbox.unvalidated()
        if self._said.get(name) != found:
            self._said[name] = found
            _log.info(
                "events are subscribed to",
                mailbox=name,
                wanted=found.wanted,
                validated=found.validated,
                left_out=found.left_out,
            )
        if found.problem:
            self._tell(name, found.problem)
        elif found.waiting and again:
            self._tell(
                name,
                f"{found.waiting} of {found.wanted} subscriptions are not validated, so Altinn "
                "does not reach `public_url`; see that the reverse proxy hands it on to `listen`",
            )
        elif not found.waiting:
            self._problems.end(EVENTS, name)
        self._has_more = self._has_more or found.missing > 0
        return not (found.problem or found.waiting or found.missing)

    def _tell(self, name: str, reason: str) -> None:
        text = (
            f"Events do not come for all of the mailbox {name}, and letters are found by the bell "
            f"as without them: {reason}"
        )
        problem = Problem(kind=EVENTS, about=name, where=name, text=text, critical=False)
        if self._problems.begin(problem):
            _log.warning("events do not come", mailbox=name, reason=reason)


class Push:
    """The endpoint and the subscriptions of a service; neither is there without [events]."""

    def __init__(self, app: App, wakes: Sequence[WakeEvent]) -> None:
        """Prepare them. `wakes` are those of the mailboxes' loops, in the same order."""
        boxes = zip(app.mailboxes, wakes, strict=True)
        bells = [wake for each, wake in boxes if isinstance(each, RingsBell) and each.rings_every]

        def ring() -> None:
            for each in bells:
                each.wake_up()

        configuration = app.configuration()
        self.server = events_server(configuration, ring, app.problems)
        self._door = configuration.events.door if configuration.events else None
        self._app = app

    def loop(self, stopping: threading.Event) -> None:
        """Look at the subscriptions until the service is stopped."""
        if self._door is None:
            return
        subscriber = Subscriber(self._app.mailboxes, self._door, self._app.problems)
        pause, looks = _SOON, 0
        while not stopping.is_set():
            self._app.heartbeats.beat_for_wait(EVENTS, _LOOK)
            is_whole = subscriber.look()
            looks += 1
            if subscriber.has_more and looks < _LOOKS:
                continue
            looks = 0
            pause = _EVERY if is_whole else min(_EVERY, 2 * (_SOON if pause == _EVERY else pause))
            self._app.heartbeats.beat_for_wait(EVENTS, 2 * pause)
            stopping.wait(pause)
