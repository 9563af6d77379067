"""Canaries, wired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from daemon.core.node_role import HasDuty, has_all
from daemon.delivery.canary import CanarySender
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.runtime.heartbeat import Heartbeats
from daemon.service import plugins
from daemon.store import Store
from daemon.store.content import ContentStore


def canary_sender(
    store: Store,
    content: ContentStore,
    active: ActiveSnapshot,
    clock: Callable[[], datetime],
    heartbeats: Heartbeats,
    has_duty: HasDuty = has_all,
) -> CanarySender:
    """Return what sends canaries by the active configuration."""
    return CanarySender(
        store=store,
        content=content,
        active=active,
        clock=clock,
        pdf=_pdf,
        heartbeats=heartbeats,
        has_duty=has_duty,
    )


def _pdf(text: str) -> bytes:
    found: bytes = plugins.sandbox("pdf").pdf(text)
    return found
