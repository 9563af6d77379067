"""What an alert says: which host, what is wrong, what to do; in the configured language.

The cause and the remedy are in the words of the log and of `status`, so that they can be searched
for. What is around them is translated.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from daemon.config.loader import AlertLanguage
from daemon.core.bookkeeping import Alert
from daemon.core.causes import split_reason
from daemon.core.ports import Notification
from daemon.monitoring.problem import moment, split_key

_NAMESPACE = UUID("0a7c2f8b-3f7a-5c4e-9d0c-52e3b2a7c9d1")
_SUBJECT = 200  # characters
_AT_MOST = 10  # problems that are named in one notification


@dataclass(frozen=True, kw_only=True)
class _Phrases:
    """One language."""

    over: str
    resolved: str
    cause: str
    remedy: str
    since: str
    over_since: str
    host: str
    more: str
    kinds: Mapping[str, str]
    """What each kind of problem is; in English its own words say it."""


_NB = {
    "silence": "Postkassen leses ikke",
    "unread": "Noe i postkassen kan ikke leses",
    "rights": "Tilgang er tapt",
    "unfetched": "Brev kan ikke hentes",
    "canary": "En kanari kom ikke fram",
    "sender": "En avsender som skrev jevnlig, har sluttet å skrive",
    "resource": "En ressurs i Altinn er ikke satt opp",
    "service": "En tjeneste kan ikke leses",
    "shortfall": "Brev i Altinn er verken her eller forklart",
    "incomplete": "Brev kom uten alle vedlegg",
    "untold": "Avsendere får ikke vite at brev er lest eller bekreftet",
    "failing": "Leveringer feiler",
    "undelivered": "Et brev har ventet for lenge",
    "dead": "Leveringer er gitt opp",
    "not-taken": "Brev er ikke hentet i tide",
    "rejected": "Mottakeren har avvist brev",
    "overdue": "Ingen har kvittert for brev i tide",
    "unreminded": "Folk får ikke beskjed om brev",
    "collision": "Brev er levert under et annet navn",
    "expiry": "Et sertifikat eller en nøkkel utløper",
    "disk": "Det er lite plass på disken",
    "full": "Disken er full",
    "node": "En node svarer ikke",
    "storage": "Lageret for vedlegg kan ikke nås",
    "edit": "En endring er ikke tatt i bruk",
    "clock": "Maskinens klokke er feil eller ikke bekreftet",
    "endpoint": "En adresse kan ikke brukes",
    "lock": "Låsefilen er borte eller byttet ut",
    "log": "Loggen kan ikke skrives",
    "pickup": "Det kan ikke ses hva som er hentet",
    "watch": "Mapper kan ikke overvåkes",
    "wrong-token": "Mange kall har feil API-nøkkel",
    "stalled": "En del av tjenesten står stille",
    "not-running": "Tjenesten kjører ikke",
    "resources": "Altinn har endret hvilke ressurser som har brevene",
    "bell": "Dialogporten sier ikke hvem som har noe nytt",
    "parties": "En organisasjon finnes ikke lenger",
    "events": "Altinn sender ikke hendelser",
    "journal-unsigned": "Journalen kan ikke signeres",
    "journal-unpublished": "Journalens hode kan ikke publiseres",
    "journal-key": "En node har ikke journalens nøkkel",
    "node-wait": "Leveringer venter på en node",
    "journal-behind": "De nyeste radene i journalen er ikke signert",
    "holder": "En bruker som er stengt ute, har noe som må overlates",
}
_NN = {
    "silence": "Postkassa blir ikkje lesen",
    "unread": "Noko i postkassa kan ikkje lesast",
    "rights": "Tilgang er tapt",
    "unfetched": "Brev kan ikkje hentast",
    "canary": "Ein kanari kom ikkje fram",
    "sender": "Ein avsendar som skreiv jamleg, har slutta å skrive",
    "resource": "Ein ressurs i Altinn er ikkje sett opp",
    "service": "Ei teneste kan ikkje lesast",
    "shortfall": "Brev i Altinn er korkje her eller forklarte",
    "incomplete": "Brev kom utan alle vedlegg",
    "untold": "Avsendarar får ikkje vite at brev er lesne eller stadfesta",
    "failing": "Leveringar feilar",
    "undelivered": "Eit brev har venta for lenge",
    "dead": "Leveringar er gjevne opp",
    "not-taken": "Brev er ikkje henta i tide",
    "rejected": "Mottakaren har avvist brev",
    "overdue": "Ingen har kvittert for brev i tide",
    "unreminded": "Folk får ikkje beskjed om brev",
    "collision": "Brev er leverte under eit anna namn",
    "expiry": "Eit sertifikat eller ein nøkkel går ut",
    "disk": "Det er lite plass på disken",
    "full": "Disken er full",
    "node": "Ein node svarar ikkje",
    "storage": "Lageret for vedlegg er ikkje å nå",
    "edit": "Ei endring er ikkje teken i bruk",
    "clock": "Klokka på maskina er feil eller ikkje stadfesta",
    "endpoint": "Ei adresse kan ikkje brukast",
    "lock": "Låsefila er borte eller bytt ut",
    "log": "Loggen kan ikkje skrivast",
    "pickup": "Ein kan ikkje sjå kva som er henta",
    "watch": "Mapper kan ikkje overvakast",
    "wrong-token": "Mange kall har feil API-nøkkel",
    "stalled": "Ein del av tenesta står stille",
    "not-running": "Tenesta køyrer ikkje",
    "resources": "Altinn har endra kva ressursar som har breva",
    "bell": "Dialogporten seier ikkje kven som har noko nytt",
    "parties": "Ein organisasjon finst ikkje lenger",
    "events": "Altinn sender ikkje hendingar",
    "journal-unsigned": "Journalen kan ikkje signerast",
    "journal-unpublished": "Hovudet til journalen kan ikkje publiserast",
    "journal-key": "Ein node har ikkje nøkkelen til journalen",
    "node-wait": "Leveringar ventar på ein node",
    "journal-behind": "Dei nyaste radene i journalen er ikkje signerte",
    "holder": "Ein brukar som er stengd ute, har noko som må overlatast",
}
_PHRASES: Mapping[AlertLanguage, _Phrases] = {
    "en": _Phrases(
        over="over: ",
        resolved="Resolved: ",
        cause="",
        remedy="What to do: ",
        since="Since: ",
        over_since="Over since: ",
        host="Host: ",
        more="and {count} more; see `postmottak status`",
        kinds={},
    ),
    "nb": _Phrases(
        over="over: ",
        resolved="Over: ",
        cause="Årsak: ",
        remedy="Tiltak: ",
        since="Siden: ",
        over_since="Over siden: ",
        host="Maskin: ",
        more="og {count} til; se `postmottak status`",
        kinds=_NB,
    ),
    "nn": _Phrases(
        over="over: ",
        resolved="Over: ",
        cause="Årsak: ",
        remedy="Tiltak: ",
        since="Sidan: ",
        over_since="Over sidan: ",
        host="Maskin: ",
        more="og {count} til; sjå `postmottak status`",
        kinds=_NN,
    ),
}


def notification(some: Sequence[Alert], language: AlertLanguage) -> Notification:
    """Return what is sent of alerts of one kind that have all begun, or have all ended.

    A repeat has the same id.
    """
    first, phrases = some[0], _PHRASES[language]
    ended = bool(first.ended_at)
    phase = "ended" if ended else "begun"
    return Notification(
        id=uuid5(_NAMESPACE, f"{first.key} {first.began_at.isoformat()} {phase}"),
        kind=first.kind,
        ended=ended,
        critical=any(each.critical for each in some),
        subject=_subject(some, phrases),
        text="\n".join(_lines(some, phrases)),
        at=first.ended_at or first.began_at,
    )


def _subject(some: Sequence[Alert], phrases: _Phrases) -> str:
    what = _what(some[0], phrases)
    more = f" (+{len(some) - 1})" * (len(some) > 1)
    short = what if len(what) <= _SUBJECT else f"{what[: _SUBJECT - 1]}…"
    return f"Postmottak: {phrases.over * bool(some[0].ended_at)}{short}{more}"


def _what(alert: Alert, phrases: _Phrases) -> str:
    words = phrases.kinds.get(alert.kind)
    if words is None:
        return split_reason(alert.text)[0]
    about, _ = split_key(alert.kind, alert.key)
    return f"{words}: {about}" if about else words


def _lines(some: Sequence[Alert], phrases: _Phrases) -> list[str]:
    over = phrases.resolved * bool(some[0].ended_at)
    lines: list[str] = []
    for alert in some[:_AT_MOST]:
        cause, remedy = split_reason(alert.text)
        if alert.kind in phrases.kinds:
            lines += [f"{over}{_what(alert, phrases)}", f"{phrases.cause}{cause}"]
        else:
            lines.append(f"{over}{cause}")
        if remedy and not over:
            lines.append(f"{phrases.remedy}{remedy}")
    if len(some) > _AT_MOST:
        lines.append(phrases.more.format(count=len(some) - _AT_MOST))
    when = phrases.over_since if over else phrases.since
    at = some[0].ended_at or some[0].began_at
    return [*lines, "", f"{when}{moment(at)}", f"{phrases.host}{socket.gethostname()}"]
