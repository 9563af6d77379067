"""What of the configuration a running service cannot take over."""

from __future__ import annotations

from daemon.config.loader import Configuration


def needs_restart(configuration: Configuration) -> tuple[object, ...]:
    """Return the sections of the configuration that are read only at the start."""
    return (
        configuration.store,
        configuration.mailboxes,
        configuration.delivery,
        configuration.api,
        configuration.monitoring,
        configuration.events,
    )
