"""What came of asking a connector: its answer, or the way in which it failed, as a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from daemon.core.errors import ConnectorFault, PostmottakError

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")


def call_connector(call: Callable[[], _Answer], **about: str) -> _Answer | PostmottakError:
    """What `call` returns, or what it raises.

    A fault that nobody foresaw is logged, with what it is `about`.
    """
    try:
        return call()
    except PostmottakError as error:
        return error
    except Exception as fault:  # noqa: BLE001  # a fault of one connector must not stop the others
        _log.exception("the connector failed unexpectedly", **about)
        return ConnectorFault(f"unexpected {type(fault).__name__} in the connector; see the log")
