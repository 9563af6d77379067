"""The configuration file: read and checked as a whole, and frozen.

Only reading the file and its secret files has effects. The settings under `[mailbox.NAME]` and
`[destination.NAME]` are declared by the connector of that `type`; the caller of `read` says where
to find them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from daemon.config.acknowledgements import AcknowledgementSettings, check_send_by
from daemon.config.alert_destinations import check_alerts
from daemon.config.canary import CanarySettings, check_canary
from daemon.config.cautions import add_cautions
from daemon.config.endpoints import ApiSettings, EventsSettings, MonitoringSettings
from daemon.config.faults import FaultList, KeyPath, Model, read_toml
from daemon.config.journal import JournalSettings, check_publish_to
from daemon.config.of_nodes import check_nodes
from daemon.config.store import StoreSettings
from daemon.config.web import WebSettings
from daemon.core.dpv import service_code
from daemon.core.durations import FOREVER
from daemon.core.errors import Fault
from daemon.core.network import ProxyOptions
from daemon.core.proxies import Proxies
from daemon.core.settings import (
    ConnectorSettings,
    DestinationSettings,
    Duration,
    FilePath,
    KeepingTime,
    MailboxSettings,
)

Kind = Literal["mailbox", "destination"]
AlertLanguage = Literal["nb", "nn", "en"]
FindSettings = Callable[[Kind, str], type[ConnectorSettings] | None]
"""Returns the settings that a connector of this kind and type declares; None if unknown."""

_SECTIONS = (
    "store",
    "network",
    "mailbox",
    "destination",
    "delivery",
    "routing",
    "retention",
    "api",
    "alerts",
    "canary",
    "acknowledgements",
    "journal",
    "monitoring",
    "web",
    "events",
)


class DeliverySettings(BaseModel):
    """`[delivery]`: how long deliveries are tried, and how many processes work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    give_up_after: Duration = timedelta(days=5)
    workers: Annotated[int, Field(ge=1, le=16)] | Literal["auto"] = "auto"
    """Processes that fetch, store and drop letters in `postmottak run`; `auto`: one for each core,
    at most four.
    """


class ServiceRetention(BaseModel):
    """`[retention.service."CODE"]`: how long letters of one service are kept.

    Omitted values are those of `[retention]`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: KeepingTime | None = None
    attachments: KeepingTime | None = None
    metadata: KeepingTime | None = None


class RetentionSettings(BaseModel):
    """`[retention]`: how long letters are kept, counted from their arrival.

    Without the section nothing is ever deleted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: KeepingTime = FOREVER
    attachments: KeepingTime = FOREVER
    metadata: KeepingTime = FOREVER
    events: KeepingTime = FOREVER
    """How long the log of events of the page is kept."""
    service: Mapping[Annotated[str, AfterValidator(service_code)], ServiceRetention] = Field(
        default_factory=dict
    )


class AlertSettings(BaseModel):
    """`[alerts]`: what counts as a problem, and which destinations are notified.

    `status` shows problems in any case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: tuple[str, ...] = ()
    silent_after: Duration = timedelta(hours=1)
    undelivered_after: Duration = timedelta(hours=4)
    expires_within: Duration = timedelta(days=30)
    free_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000
    language: AlertLanguage = "en"
    """Of what is around the cause and the remedy, which are in the words of the log."""


class RoutingSettings(BaseModel):
    """`[routing]`: where the routing table is, and how it is published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FilePath
    approvals: Annotated[int, Field(ge=0, le=1, strict=True)] = 0
    """How many others must approve a table before the page publishes it."""


@dataclass(frozen=True, kw_only=True)
class ConnectorConfiguration:
    """One mailbox or destination: its name, its connector type, and its settings."""

    name: str
    type: str
    settings: ConnectorSettings


@dataclass(frozen=True, kw_only=True)
class MailboxConfiguration(ConnectorConfiguration):
    """One mailbox."""

    settings: MailboxSettings


@dataclass(frozen=True, kw_only=True)
class DestinationConfiguration(ConnectorConfiguration):
    """One destination."""

    settings: DestinationSettings


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A configuration file without faults."""

    path: Path
    text: str
    """What the file said when it was read."""
    store: StoreSettings
    mailboxes: tuple[MailboxConfiguration, ...]
    destinations: tuple[DestinationConfiguration, ...]
    delivery: DeliverySettings
    routing: RoutingSettings
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    api: ApiSettings | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)
    acknowledgements: AcknowledgementSettings = field(default_factory=AcknowledgementSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    monitoring: MonitoringSettings | None = None
    canary: CanarySettings | None = None
    web: WebSettings | None = None
    events: EventsSettings | None = None
    warnings: tuple[Fault, ...] = ()
    """What is valid, and probably not meant."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The result of reading a configuration file: the configuration, or its faults.

    With faults, it also has what could be read in spite of them.
    """

    faults: tuple[Fault, ...]
    configuration: Configuration | None
    store: StoreSettings | None
    routing_file: Path | None
    destination_names: tuple[str, ...]


def read(
    path: Path,
    find_settings: FindSettings,
    types: Mapping[Kind, tuple[str, ...]],
    *,
    open_secrets: bool = True,
) -> Reading:
    """Read and check the configuration file; `types` names the available connectors.

    The result has every fault of the file and of its secret files. Without `open_secrets`, secret
    files need not be readable: secrets are closed, and nothing can be connected. Raises
    ConfigurationError if it is not a TOML file.
    """
    text, values = read_toml(path)
    reader = _SectionReader(
        FaultList(str(path), text), path.absolute().parent, find_settings, types, open_secrets
    )
    return reader.read(path, text, values)


@dataclass(frozen=True)
class _SectionReader:
    faults: FaultList
    base: Path
    find_settings: FindSettings
    types: Mapping[Kind, tuple[str, ...]]
    open_secrets: bool

    def read(self, path: Path, text: str, values: dict[str, Any]) -> Reading:
        for section in values:
            if section not in _SECTIONS:
                self.faults.unknown((section,), section, _SECTIONS, "section")
        network = self.section(ProxyOptions, values, "network")
        proxies = self.proxies(network)
        store = self.section(StoreSettings, values, "store", proxies)
        delivery = self.section(DeliverySettings, values, "delivery")
        routing = self.section(RoutingSettings, values, "routing")
        retention = self.section(RetentionSettings, values, "retention")
        api = self.optional(ApiSettings, values, "api")
        alerts = self.section(AlertSettings, values, "alerts")
        acknowledgements = self.section(AcknowledgementSettings, values, "acknowledgements")
        journal = self.section(JournalSettings, values, "journal")
        monitoring = self.optional(MonitoringSettings, values, "monitoring")
        web = self.optional(WebSettings, values, "web")
        canary = self.optional(CanarySettings, values, "canary")
        events = self.optional(EventsSettings, values, "events")
        mailboxes = tuple(map(_as_mailbox, self.connectors("mailbox", values, proxies)))
        destinations = tuple(map(_as_destination, self.connectors("destination", values, proxies)))
        able = {each.name: each.settings.can_notify for each in destinations}
        check_alerts(alerts.to if alerts else (), values.get("destination"), able, self.faults)
        able = {each.name: each.settings.can_send_test for each in destinations}
        check_canary(canary, values.get("destination"), able, self.faults)
        check_send_by(
            acknowledgements, {each.name: each.settings for each in destinations}, self.faults
        )
        check_nodes(store, {each.name: each.settings.nodes for each in destinations}, self.faults)
        check_publish_to(journal, values.get("destination", ()), self.faults)
        add_cautions(self.faults, values, monitoring.listen if monitoring else None)
        configuration = None
        if store and delivery and routing and retention and alerts and not self.faults.faults:
            configuration = Configuration(
                path=path,
                text=text,
                store=store,
                mailboxes=mailboxes,
                destinations=destinations,
                delivery=delivery,
                routing=routing,
                api=api,
                alerts=alerts,
                acknowledgements=acknowledgements or AcknowledgementSettings(),
                journal=journal or JournalSettings(),
                monitoring=monitoring,
                canary=canary,
                web=web,
                events=events,
                retention=retention,
                warnings=tuple(self.faults.warnings),
            )
        named = values.get("destination")
        return Reading(
            faults=tuple(self.faults.faults),
            configuration=configuration,
            store=store,
            routing_file=routing.file if routing else None,
            destination_names=tuple(named) if isinstance(named, dict) else (),
        )

    def proxies(self, network: ProxyOptions | None) -> Proxies:
        """Return the proxies of `[network]`; none where that, or the environment, is faulty."""
        try:
            return network.own_proxies() if network else Proxies()
        except ValueError as error:
            remedy = 'Correct the variable, or write proxy = "" into [network] to use no proxy'
            self.faults.add(("network",), str(error), remedy)
            return Proxies()

    def optional(self, model: type[Model], values: dict[str, Any], name: str) -> Model | None:
        return self.section(model, values, name) if name in values else None

    def section(
        self,
        model: type[Model],
        values: dict[str, Any],
        name: str,
        proxies: Proxies | None = None,
    ) -> Model | None:
        found = values.get(name, {})
        if not isinstance(found, dict):
            self.faults.add((name,), "must be a section", f"Write it as a section: [{name}]")
            return None
        return self.validate(model, found, (name,), proxies)

    def validate(
        self,
        model: type[Model],
        values: Mapping[str, Any],
        where: KeyPath,
        proxies: Proxies | None = None,
    ) -> Model | None:
        return self.faults.validate(
            model, values, where, self.base, open_secrets=self.open_secrets, proxies=proxies
        )

    def connectors(
        self, kind: Kind, values: dict[str, Any], proxies: Proxies
    ) -> tuple[ConnectorConfiguration, ...]:
        tables = values.get(kind)
        if not isinstance(tables, dict) or not tables:
            self.faults.add(
                (kind,),
                f"at least one {kind} is required",
                f"Add a section [{kind}.NAME] with a type",
            )
            return ()
        found = (self.connector(kind, name, table, proxies) for name, table in tables.items())
        return tuple(connector for connector in found if connector)

    def connector(
        self, kind: Kind, name: str, table: Any, proxies: Proxies
    ) -> ConnectorConfiguration | None:
        where = (kind, name)
        if not isinstance(table, dict):
            self.faults.add(where, "must be a section", f"Write it as a section: [{kind}.NAME]")
            return None
        connector_type = table.get("type")
        if connector_type is None:
            self.faults.add(
                (*where, "type"), "is required", f"Use one of: {', '.join(self.types[kind])}"
            )
            return None
        declared = self.find_settings(kind, str(connector_type))
        if declared is None:
            remedy = f"Use one of: {', '.join(self.types[kind])}"
            self.faults.add(
                (*where, "type"), f"{connector_type!r} is not a known type of {kind}", remedy
            )
            return None
        rest = {key: value for key, value in table.items() if key != "type"}
        settings = self.validate(declared, rest, where, proxies)
        return (
            ConnectorConfiguration(name=name, type=str(connector_type), settings=settings)
            if settings
            else None
        )


def _as_mailbox(found: ConnectorConfiguration) -> MailboxConfiguration:
    assert isinstance(found.settings, MailboxSettings)  # as every connector's; a test looks
    return MailboxConfiguration(name=found.name, type=found.type, settings=found.settings)


def _as_destination(found: ConnectorConfiguration) -> DestinationConfiguration:
    assert isinstance(found.settings, DestinationSettings)  # as every connector's; a test looks
    return DestinationConfiguration(name=found.name, type=found.type, settings=found.settings)
