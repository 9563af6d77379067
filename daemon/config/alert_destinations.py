"""Checks of where alerts go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daemon.config.faults import FaultList


def check_alerts(
    to: Sequence[str], named: object, able: Mapping[str, bool], faults: FaultList
) -> None:
    """Check that alerts go to configured destinations that can send notifications.

    `named` are the destinations as the file has them, `able` those without a fault.
    """
    for place, name in enumerate(to):
        if not isinstance(named, dict) or name not in named:
            faults.add(
                ("alerts", "to", place),
                f"{name!r} is not a configured destination",
                "Use the name of a [destination.NAME] section",
            )
        elif not able.get(name, True):
            remedy = "Use one of type webhook, or of type smtp with its own recipients"
            faults.add(
                ("alerts", "to", place), f"the destination {name!r} cannot send alerts", remedy
            )
