"""Warnings about a configuration and a routing table that were read or edited."""

from __future__ import annotations

import structlog

from daemon.config.loader import Configuration
from daemon.routing.table import Table
from daemon.service.preflight import readable_secrets

_log = structlog.get_logger(__name__)


def log_configuration_warnings(configuration: Configuration) -> None:
    """Log what is valid and probably not meant, and secrets that others can read."""
    for warning in configuration.warnings:
        _log.warning(
            "the configuration has something that is probably not meant", warning=str(warning)
        )
    for warning in readable_secrets(configuration):
        _log.warning("a secret is not kept as one", warning=str(warning))


def log_table_warnings(table: Table) -> None:
    """Log what is valid in the routing table and probably not meant."""
    for warning in table.warnings:
        _log.warning(
            "the routing table has something that is probably not meant", warning=str(warning)
        )
