"""Names of senders from a public company register, where Altinn gives only the number.

Only where the configuration names a register: a lookup tells it whose letters come. Source:
Enhetsregisteret's open API, `enheter/{number}` for organisations and `underenheter/{number}` for
their units, each with `navn`
(https://data.brreg.no/enhetsregisteret/api/dokumentasjon/no/index.html).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import structlog

from connectors.net.http_client import HttpClient
from connectors.net.http_response import OK, json_object
from connectors.net.settings import is_safe
from connectors.net.timeouts import Timeouts
from daemon.core.errors import MailboxUnavailable
from daemon.core.model import Letter
from daemon.core.outside_values import text_from
from daemon.core.proxies import Proxies

_log = structlog.get_logger(__name__)
_PATHS = ("enheter", "underenheter")
_QUICK = Timeouts(connect=2, step=2, whole=4, retry_delays=())
"""A letter waits for its sender's name no longer than this."""
_LONGEST_PAUSE = 600.0  # seconds for which a register that fails is left alone
_MOST = 10_000  # names that are remembered


def register_address(url: str) -> str:
    """Return the address without a slash at its end; empty for no register. Raises ValueError."""
    if url and not is_safe(url):
        raise ValueError(
            "is not an https address; write the register's, such as "
            '"https://data.brreg.no/enhetsregisteret/api", or leave it empty for no lookups'
        )
    return url.rstrip("/")


class CompanyRegister:
    """The register at `url`; without one, nothing is looked up.

    May be used from several threads.
    """

    def __init__(
        self, url: str, ca_file: Path | None = None, proxies: Proxies | None = None
    ) -> None:
        self._url = url
        self._http = (
            HttpClient(
                longest_pause=_LONGEST_PAUSE, ca_file=ca_file, proxies=proxies, timeouts=_QUICK
            )
            if url
            else None
        )
        self._known: dict[str, str] = {}

    def with_sender_name(self, letter: Letter) -> Letter:
        """Return the letter, with the register's name of a sender that has a number and no name.

        A register that does not answer holds up no letter.
        """
        sent = letter.envelope
        if self._http is None or sent.sender_name or not sent.sender_org:
            return letter
        name = self._name(self._http, sent.sender_org)
        return replace(letter, envelope=sent.model_copy(update={"sender_name": name}))

    def close(self) -> None:
        """Close the connections."""
        if self._http:
            self._http.close()

    def _name(self, http: HttpClient, number: str) -> str:
        """Return the name; empty if the register has none, or cannot be asked now."""
        if number not in self._known:
            try:
                found = next(filter(None, (self._asked(http, each, number) for each in _PATHS)), "")
            except MailboxUnavailable as error:
                _log.info("the name of a sender cannot be looked up", reason=str(error))
                return ""
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[number] = found
        return self._known[number]

    def _asked(self, http: HttpClient, path: str, number: str) -> str:
        answer = http.get(
            f"{self._url}/{path}/{number}", {"Accept": "application/json"}, json_object
        )
        return text_from(answer.value.get("navn")) if answer.status == OK else ""
