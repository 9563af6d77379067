"""The configuration file: read whole, checked whole, and frozen.

Pure but for reading the file and the secret files that it names. What stands under `[mailbox.NAME]`
and `[destination.NAME]` is declared by the connector of that `type`; whoever calls `load` says
where such declarations are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from daemon.config.faults import FaultList, Model, did_you_mean, read_toml
from daemon.config.listen import Address, ListenAddress
from daemon.core.dpv import find_service, service_names
from daemon.core.errors import Fault
from daemon.core.settings import (
    FOREVER,
    ConnectorSettings,
    DestinationSettings,
    Duration,
    FilePath,
    KeepingTime,
    MailboxSettings,
    SecretFile,
    base_folder,
)

Kind = Literal["mailbox", "destination"]
FindSettings = Callable[[Kind, str], type[ConnectorSettings] | None]
"""The settings that a connector of this kind and type declares, or None if there is no such
connector.
"""

_SQLITE = "sqlite:///"
_SECTIONS = (
    "store",
    "mailbox",
    "destination",
    "delivery",
    "routing",
    "retention",
    "api",
    "alerts",
    "monitoring",
)


def _database_url(text: str, info: ValidationInfo) -> str:
    if not text.startswith(_SQLITE):
        raise ValueError(
            'is no database that can be used; write "sqlite:////var/lib/postmottak/postmottak.db"'
        )
    name = text.removeprefix(_SQLITE)
    if not name:
        raise ValueError('names no file; write "sqlite:////var/lib/postmottak/postmottak.db"')
    path = Path(name)
    base = base_folder(info)
    if not path.is_absolute():
        first = path.parts[0] if len(path.parts) > 1 else ""
        if first and Path("/", first).is_dir() and not (base / first).is_dir():
            raise ValueError(
                "is a relative path that looks like an absolute one; write four slashes: "
                f"sqlite:////{path}"
            )
    return _SQLITE + str((base / path).absolute())


class StoreSettings(BaseModel):
    """`[store]`: where letters are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[str, AfterValidator(_database_url)]
    content: FilePath

    @property
    def database_path(self) -> Path:
        """The database's file."""
        return Path(self.database.removeprefix(_SQLITE))


class DeliverySettings(BaseModel):
    """`[delivery]`: for how long a delivery is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    give_up_after: Duration = timedelta(days=5)


def _service_code(text: str) -> str:
    service = find_service(text)
    if service is None:
        hint = did_you_mean(text, service_names())
        raise ValueError(
            f"{text!r} is no service; "
            f"{hint or 'write a code such as 4255/8, or see `postmottak services`'}"
        )
    return service.code


class ServiceRetention(BaseModel):
    """`[retention.service."CODE"]`: how long letters of one service are kept.

    What is left out is as in `[retention]`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: KeepingTime | None = None
    attachments: KeepingTime | None = None
    metadata: KeepingTime | None = None


class RetentionSettings(BaseModel):
    """`[retention]`: how long letters are kept, counted from when they came.

    Without the section nothing is ever deleted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: KeepingTime = FOREVER
    attachments: KeepingTime = FOREVER
    metadata: KeepingTime = FOREVER
    service: Mapping[Annotated[str, AfterValidator(_service_code)], ServiceRetention] = Field(
        default_factory=dict
    )


class ApiSettings(BaseModel):
    """`[api]`: the pull API, for programs that are told of letters and fetch them.

    Without the section there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    token_file: SecretFile
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8765

    @property
    def address(self) -> Address:
        """Where to listen."""
        return Address(host=self.host, port=self.port)


class AlertSettings(BaseModel):
    """`[alerts]`: what counts as trouble, and which destinations are told of it.

    `status` shows it in any case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: tuple[str, ...] = ()
    silent_after: Duration = timedelta(hours=1)
    undelivered_after: Duration = timedelta(hours=4)
    expires_within: Duration = timedelta(days=30)
    free_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000


class MonitoringSettings(BaseModel):
    """`[monitoring]`: a door for monitors, which asks nobody who they are: keep it on this machine.

    Without the section there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: ListenAddress = Address(host="127.0.0.1", port=8766)


class RoutingSettings(BaseModel):
    """`[routing]`: where the routing table is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FilePath


@dataclass(frozen=True, kw_only=True)
class ConnectorConfiguration:
    """One mailbox or destination: its name, its connector, and the settings for that."""

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
    """A configuration file in which no fault was found."""

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
    monitoring: MonitoringSettings | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of reading a configuration file: the configuration, or faults and what could be read in spite of them."""

    faults: tuple[Fault, ...]
    configuration: Configuration | None
    routing_file: Path | None
    destination_names: tuple[str, ...]


def read(path: Path, find_settings: FindSettings, types: Mapping[Kind, tuple[str, ...]]) -> Reading:
    """Read and check the configuration file; `types` names the connectors that there are.

    The reading has every fault of the file and of the secret files that it names. Raises
    ConfigurationError if it is no TOML file.
    """
    text, values = read_toml(path)
    reader = _SectionReader(
        FaultList(str(path), text), path.absolute().parent, find_settings, types
    )
    return reader.read(path, text, values)


@dataclass(frozen=True)
class _SectionReader:
    faults: FaultList
    base: Path
    find_settings: FindSettings
    types: Mapping[Kind, tuple[str, ...]]

    def read(self, path: Path, text: str, values: dict[str, Any]) -> Reading:
        for section in values:
            if section not in _SECTIONS:
                self.faults.unknown((section,), section, _SECTIONS, "section")
        store = self.section(StoreSettings, values, "store")
        delivery = self.section(DeliverySettings, values, "delivery")
        routing = self.section(RoutingSettings, values, "routing")
        retention = self.section(RetentionSettings, values, "retention")
        api = self.section(ApiSettings, values, "api") if "api" in values else None
        alerts = self.section(AlertSettings, values, "alerts")
        monitoring = (
            self.section(MonitoringSettings, values, "monitoring")
            if "monitoring" in values
            else None
        )
        mailboxes = tuple(map(_as_mailbox, self.connectors("mailbox", values)))
        destinations = tuple(map(_as_destination, self.connectors("destination", values)))
        self.check_alerts(alerts, values, destinations)
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
                monitoring=monitoring,
                retention=retention,
            )
        named = values.get("destination")
        return Reading(
            faults=tuple(self.faults.faults),
            configuration=configuration,
            routing_file=routing.file if routing else None,
            destination_names=tuple(named) if isinstance(named, dict) else (),
        )

    def check_alerts(
        self,
        alerts: AlertSettings | None,
        values: Mapping[str, Any],
        destinations: Sequence[DestinationConfiguration],
    ) -> None:
        """Alerts go to destinations that there are, and that can tell somebody."""
        named = values.get("destination")
        able = {each.name: each.settings.can_notify for each in destinations}
        for place, name in enumerate(alerts.to if alerts else ()):
            if not isinstance(named, dict) or name not in named:
                self.faults.add(
                    ("alerts", "to", place),
                    f"there is no destination {name!r}",
                    "Name one that the configuration has",
                )
            elif not able.get(name, True):
                remedy = "Name one of type webhook, or of type smtp that has recipients of its own"
                self.faults.add(
                    ("alerts", "to", place),
                    f"the destination {name!r} cannot tell anybody of an alert",
                    remedy,
                )

    def section(self, model: type[Model], values: dict[str, Any], name: str) -> Model | None:
        found = values.get(name, {})
        if not isinstance(found, dict):
            self.faults.add((name,), "is no section", f"Write it as a section: [{name}]")
            return None
        return self.faults.validate(model, found, (name,), self.base)

    def connectors(self, kind: Kind, values: dict[str, Any]) -> tuple[ConnectorConfiguration, ...]:
        tables = values.get(kind)
        if not isinstance(tables, dict) or not tables:
            self.faults.add(
                (kind,),
                f"there is no {kind}",
                f"Write at least one section [{kind}.NAME] with a type",
            )
            return ()
        found = (self.connector(kind, name, table) for name, table in tables.items())
        return tuple(connector for connector in found if connector)

    def connector(self, kind: Kind, name: str, table: Any) -> ConnectorConfiguration | None:
        where = (kind, name)
        if not isinstance(table, dict):
            self.faults.add(where, "is no section", f"Write it as a section: [{kind}.NAME]")
            return None
        connector_type = table.get("type")
        if connector_type is None:
            self.faults.add(
                (*where, "type"), "is missing", f"Write one of: {', '.join(self.types[kind])}"
            )
            return None
        declared = self.find_settings(kind, str(connector_type))
        if declared is None:
            remedy = f"Write one of: {', '.join(self.types[kind])}"
            self.faults.add((*where, "type"), f"{connector_type!r} is no type of {kind}", remedy)
            return None
        rest = {key: value for key, value in table.items() if key != "type"}
        settings = self.faults.validate(declared, rest, where, self.base)
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
