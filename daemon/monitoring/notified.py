"""Who is due a notification of which alert. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from daemon.core.bookkeeping import AGAIN, BEGUN, COLLISION, ENDED, PICKUP, Alert
from daemon.monitoring.sending import NOTIFY_AFTER

_WITHOUT_END = frozenset({"rejected", COLLISION})
"""Kinds that happen once and do not pass, so there is no end to notify of."""
TOGETHER = frozenset({"incomplete", "sender", "resource", "service", *_WITHOUT_END})
"""Kinds of problems each of which is about one letter, or one thing of many that a look finds at
once: several are one notification."""


def is_due(alert: Alert, name: str, now: datetime) -> bool:
    """Whether this destination is due a notification.

    What the next round of pickups may see again has to last for a while. One that never got the
    beginning does not get the end.
    """
    told = alert.told.get(name)
    if alert.ended_at:
        return told in {BEGUN, AGAIN} and alert.kind not in _WITHOUT_END
    lasts = alert.kind != PICKUP or now - alert.began_at >= NOTIFY_AFTER
    return told in {None, AGAIN} and lasts


def is_known(alert: Alert, of_incident: Sequence[Alert], name: str) -> bool:
    """Whether the destination was notified of the same cause, and of all that it concerns.

    If it has ended: whether the cause goes on, or its end was notified. `of_incident` are the
    alerts that share the incident.
    """
    others = [each for each in of_incident if each.key != alert.key]
    if alert.ended_at:
        return any(not each.ended_at or each.told.get(name) == ENDED for each in others)
    return alert.told.get(name) != AGAIN and any(
        each.told.get(name) == BEGUN
        and (each.critical or not alert.critical)
        and (not each.parties or set(alert.parties) <= set(each.parties))
        for each in others
    )
