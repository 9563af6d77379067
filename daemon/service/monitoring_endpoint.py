"""The HTTP server of the monitoring endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from daemon.core.errors import Fault
from daemon.monitoring.shared_health import SharedHealth
from daemon.service.app import App

if TYPE_CHECKING:
    from daemon.web.server import WebServer


def monitoring_server(
    app: App, faults: Callable[[], Sequence[Fault]], shared: SharedHealth
) -> WebServer | None:
    """Return the server of the monitoring endpoint; None without a section [monitoring].

    `shared` is what alerts have found.
    """
    settings = app.configuration().monitoring
    if settings is None:
        return None
    from daemon.web.metrics import Monitoring
    from daemon.web.server import WebServer

    endpoint = Monitoring(
        store=app.store,
        configuration=app.configuration,
        attempts=app.attempts,
        token_ends=app.token_ends,
        faults=faults,
        clock=app.clock,
        wrong_tokens=app.wrong_tokens,
        intake=app.intake.counters,
        timings=app.timings,
        worker_usage=app.worker_usage,
        service_problems=app.problems.all,
        paces=app.paces,
        shared=shared,
        node=app.membership,
    )
    return WebServer("[monitoring]", endpoint.application(), settings.listen, problems=app.problems)
