"""From what went wrong on the network to the words and the exceptions of a failed call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from connectors.net.circuit_breaker import HostUnavailable
from connectors.net.diagnostics import explain_error, remedy_for
from connectors.net.http_response import LARGEST_ANSWER, TransportProblem
from connectors.net.limits import TransferTooSlow, Unreachable
from connectors.net.proxy_problem import ProxyProblem
from connectors.net.response_head import ProtocolError
from connectors.net.transfer import BodyTooLarge


def host_unavailable(host: str, trouble: TransportProblem) -> HostUnavailable:
    """Return the failure of a call to `host`, with what to do if it persists."""
    asked = timedelta(seconds=trouble.retry_after) if trouble.retry_after is not None else None
    remedy = f". If this persists, {trouble.remedy}" if trouble.remedy else ""
    return HostUnavailable(
        f"{host} cannot be used now: {trouble}; it is tried again at the next poll{remedy}",
        retry_after=asked,
    )


@contextmanager
def mapping_transport_problems() -> Iterator[None]:
    """Turn network errors into TransportProblem."""
    try:
        yield
    except TransferTooSlow as error:
        raise TransportProblem(str(error)) from error
    except BodyTooLarge as error:
        text = f"its answer is larger than {LARGEST_ANSWER // 1024**2} MiB"
        raise TransportProblem(text) from error
    except ProxyProblem as error:
        raise TransportProblem(str(error), again=error.again, remedy=error.remedy) from error
    except TimeoutError as error:
        raise TransportProblem("there was no answer in time", remedy=remedy_for(error)) from error
    except (Unreachable, OSError, ProtocolError) as error:
        raise TransportProblem(
            explain_error(error, "the connection broke off"),
            again=_is_blip(error),
            remedy=remedy_for(error),
        ) from error


def too_far_off(host: str, wait: float) -> HostUnavailable:
    """Return the failure of a call whose turn comes too late, where calls are paced."""
    return HostUnavailable(
        f"{host} takes no more calls of this client now; it is called again in {round(wait)} s",
        retry_after=timedelta(seconds=wait),
    )


def _is_blip(error: Exception) -> bool:
    """Return whether an established connection, or one being opened, broke.

    A host that refuses connections or has no name does not count.
    """
    return not isinstance(error, Unreachable) or isinstance(error.__cause__, ConnectionResetError)
