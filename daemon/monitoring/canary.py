"""What is wrong as canaries show it: a step at which the newest one stopped, or none is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from daemon.config.loader import Configuration
from daemon.core.canaries import Canary, CanaryStep
from daemon.core.causes import incident_of, split_reason
from daemon.monitoring.problem import Problem, moment
from daemon.store import Store

KIND = "canary"
_BY_HAND = timedelta(days=7)
"""For so long it is a problem that a canary of a command did not come through, without [canary]."""
_AT = {
    CanaryStep.ROUTING: "at the routing table",
    CanaryStep.STORE: "at the store",
    CanaryStep.DELIVERY: "at its delivery",
    CanaryStep.PICKUP: "at its pickup",
}


def of_canaries(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    """Yield where the newest canaries stopped, by destination. Raises StoreError."""
    settings = configuration.canary
    names = {each.name for each in configuration.destinations}
    if settings:
        names = {name for name in names if settings.wants(name)}
    for each in store.canaries.newest_ended():
        counts = settings is not None or now - each.begun_at < _BY_HAND
        if each.destination in names and counts and not each.is_through:
            yield _stopped(each)
    if settings is None:
        return
    for each in store.canaries.newest():
        limit = 2 * settings.every + timedelta(hours=1)
        if each.destination in names and now - each.begun_at > limit:
            yield Problem(
                kind=KIND,
                about=f"{each.destination} unsent",
                where=each.destination,
                since=each.begun_at,
                text=(
                    f"No canary was sent to the destination {each.destination} since "
                    f"{moment(each.begun_at)}; see whether the service runs: "
                    "`systemctl status postmottak`"
                ),
                critical=False,
            )


def _stopped(canary: Canary) -> Problem:
    what, remedy = split_reason(canary.problem)
    text = (
        f"The canary to the destination {canary.destination} stopped {_AT[canary.step]}, "
        f"{moment(canary.ended_at or canary.begun_at)}: {what}"
    )
    return Problem(
        kind=KIND,
        about=canary.destination,
        where=canary.destination,
        incident=incident_of(f"destination {canary.destination}", canary.problem),
        since=canary.ended_at,
        text=f"{text}; {remedy or 'see the log'}",
        critical=canary.step is not CanaryStep.PICKUP,
    )
