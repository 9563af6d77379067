"""Calls to a connector, with a failure as a value instead of an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from daemon.core.errors import ConnectorFault, PostmottakError, StoreError

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")


def call_connector(call: Callable[[], _Answer], **about: str) -> _Answer | PostmottakError:
    """Return what `call` returns, or what it raises.

    Anything unexpected is a ConnectorFault, and is logged with what the call is `about`. Raises
    StoreError: that one concerns everything, not only this call.
    """
    outcome = outcome_of(call, **about)
    if isinstance(outcome, StoreError):
        raise outcome
    return outcome


def outcome_of(call: Callable[[], _Answer], **about: str) -> _Answer | PostmottakError:
    """As `call_connector`, but return a StoreError as well.

    For a caller that passes the outcome on to code that raises it.
    """
    try:
        return call()
    except PostmottakError as error:
        return error
    except Exception as fault:  # noqa: BLE001  # a fault of one connector must not stop the others
        _log.exception("the connector failed unexpectedly", **about)
        return ConnectorFault(f"unexpected {type(fault).__name__} in the connector; see the log")
