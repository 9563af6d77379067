"""The result of calling a connector, as a value: its answer, or its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from daemon.core.errors import ConnectorFault, PostmottakError

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")


def call_connector(call: Callable[[], _Answer], **about: str) -> _Answer | PostmottakError:
    """Call a connector, and return what it returns or raises.

    An unexpected exception is logged with `about`, and returned as ConnectorFault.
    """
    try:
        return call()
    except PostmottakError as error:
        return error
    except Exception as fault:  # noqa: BLE001  # a fault of one connector must not stop the others
        _log.exception("the connector failed unexpectedly", **about)
        return ConnectorFault(f"unexpected {type(fault).__name__} in the connector; see the log")
