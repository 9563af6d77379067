"""Fetch a file from its owner. Whatever goes wrong is a state of the file, with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import structlog

from connectors.altinn3.maskinporten import Tokens
from connectors.dialogporten.addresses import Resolver, addresses_of, why_not
from connectors.dialogporten.files import HAS_EXPIRED, DialogFile, FileAddress
from connectors.dialogporten.letters import state_for
from connectors.dialogporten.owners import OwnerRule, TokenKind
from connectors.net.http_client import Download, HttpClient
from connectors.net.http_response import HttpResponse
from connectors.net.retry_after import retry_after
from daemon.core.errors import AccessRefused, MailboxUnavailable, PartUnavailable
from daemon.core.missing_files import Lack
from daemon.core.model import PartState

_log = structlog.get_logger(__name__)
_REFUSED = frozenset({401, 403})
_UNAUTHORIZED, _NOT_FOUND, _GONE = 401, 404, 410
_LATER = frozenset({202, 204, 404, 408, 409, 423, 425, *_REFUSED})
"""Answers that may be another one later: not scanned yet, not published yet, a right that is on its
way, an address that has run out. Trouble (429, 5xx) is never an answer."""


class Downloads:
    """Files of owners. May be used from several threads."""

    def __init__(
        self, http: HttpClient, tokens: Tokens, resolve: Resolver | None = addresses_of
    ) -> None:
        self._http, self._tokens, self._resolve = http, tokens, resolve

    def refusal(self, file: DialogFile, rule: OwnerRule) -> Lack | None:
        """Return why no address of the file may be called; None if one may be.

        Only an address that has expired may be another one later; the rest is up to the operator.
        """
        if not file.authorized:
            return Lack(reason="the owner withholds it from this system user")
        if not file.addresses:
            return Lack(reason="it has no address")
        wanted = _wanted(file, rule)
        if not wanted:
            words = "it has only addresses for people, where a log-in comes first"
            return Lack(reason=words)
        reasons = [why_not(each.url, rule, self._resolve) for each in wanted]
        if all(reasons):
            return Lack(reason=reasons[0], retry=HAS_EXPIRED in reasons)
        if rule.lacks_scope:
            return Lack(reason="its owner wants a token, and `scope` is not set for the owner")
        return None

    @contextmanager
    def stream(self, party: str, file: DialogFile, rule: OwnerRule) -> Iterator[Iterator[bytes]]:
        """Open the file's bytes.

        Raises PartUnavailable, also while they are read: it never holds up the letter.
        """
        if lack := self.refusal(file, rule):
            raise self._unavailable(file, lack, state_for(lack))
        reply = self._first(party, file, rule)
        with closing(reply):
            yield self._bounded(reply, file, rule)

    def _first(self, party: str, file: DialogFile, rule: OwnerRule) -> Download:
        """Return the first address that gives a file.

        Raises PartUnavailable, which says whether any of them may give it later.
        """
        troubles: list[PartUnavailable] = []
        for address in _wanted(file, rule):
            if why_not(address.url, rule, self._resolve):
                continue
            try:
                return self._open(party, file, address, rule)
            except PartUnavailable as error:
                troubles.append(error)
        raise max(reversed(troubles), key=lambda each: each.retry)

    def _open(
        self, party: str, file: DialogFile, address: FileAddress, rule: OwnerRule
    ) -> Download:
        try:
            reply = self._asked(party, address, rule)
        except (MailboxUnavailable, AccessRefused) as error:
            wait = error.retry_after if isinstance(error, MailboxUnavailable) else None
            lack = Lack(reason=str(error), retry=True, wait=wait)
            raise self._unavailable(file, lack) from error
        if isinstance(reply, HttpResponse):
            state = PartState.PURGED if reply.status == _GONE else PartState.UNAVAILABLE
            raise self._unavailable(file, _lack(reply, rule), state)
        if _is_page(reply.headers, address):
            reply.close()
            raise self._unavailable(file, Lack(reason="a log-in page came instead of a file"))
        return reply

    def _asked(self, party: str, address: FileAddress, rule: OwnerRule) -> Download | HttpResponse:
        """Ask for the file; once again with another token if a kept one is not accepted."""
        reply = self._http.download(address.url, self._headers(party, rule))
        is_kept = rule.token is TokenKind.ALTINN
        if is_kept and isinstance(reply, HttpResponse) and reply.status == _UNAUTHORIZED:
            self._tokens.drop(party, rule.scope, self._tokens.token(party, rule.scope))
            reply = self._http.download(address.url, self._headers(party, rule))
        return reply

    def _headers(self, party: str, rule: OwnerRule) -> Mapping[str, str]:
        """Return the headers, with the token that the rule names.

        Only called for an address that the rule allows. Raises AccessRefused or MailboxUnavailable.
        """
        if rule.token is TokenKind.NONE:
            return {"Accept": "*/*"}
        if rule.token is TokenKind.ALTINN:
            token = self._tokens.token(party, rule.scope)
        else:
            token = self._tokens.grant(party, rule.scope)
        return {"Accept": "*/*", "Authorization": f"Bearer {token}"}

    def _bounded(self, reply: Download, file: DialogFile, rule: OwnerRule) -> Iterator[bytes]:
        size = 0
        try:
            for chunk in reply.chunks:
                size += len(chunk)
                if size > rule.bytes_at_most:
                    words = f"it is larger than {rule.largest_file} MiB (`largest_file`)"
                    raise self._unavailable(file, Lack(reason=words))
                yield chunk
        except MailboxUnavailable as error:
            lack = Lack(reason=str(error), retry=True, wait=error.retry_after)
            raise self._unavailable(file, lack) from error

    def _unavailable(
        self, file: DialogFile, lack: Lack, state: PartState = PartState.UNAVAILABLE
    ) -> PartUnavailable:
        _log.warning("a file cannot be had", file=file.id, reason=lack.reason, again=lack.retry)
        return PartUnavailable(lack.reason, state=state, retry=lack.retry, retry_after=lack.wait)


def _lack(reply: HttpResponse, rule: OwnerRule) -> Lack:
    """Return why an answer is not a file, and whether a later one may be."""
    wait = retry_after(reply.headers.get("retry-after", ""), reply.date or datetime.now(UTC))
    if reply.status in _REFUSED:
        words = f"its owner refuses it ({reply.status}) {_shown(rule)}"
    elif reply.status == _NOT_FOUND:
        words = "its owner does not have it, or not yet (404)"
    elif reply.status == _GONE:
        words = "its owner does not have it any more (410)"
    else:
        words = f"its owner answered {reply.status}"
    return Lack(reason=words, retry=reply.status in _LATER, wait=wait)


def _shown(rule: OwnerRule) -> str:
    """Return what an owner was shown that refuses a file."""
    if rule.token is TokenKind.NONE:
        return "without a token; a signed address may have run out"
    kind = "Altinn's token" if rule.token is TokenKind.ALTINN else "Maskinporten's token"
    return f"with {kind} for the scope {rule.scope}"


def _wanted(file: DialogFile, rule: OwnerRule) -> list[FileAddress]:
    """Return the addresses that may be tried, in the rule's order."""
    return [
        each
        for kind in rule.addresses
        for each in file.addresses
        if each.for_people is (kind == "gui")
    ]


def _is_page(headers: Mapping[str, str], address: FileAddress) -> bool:
    came = headers.get("content-type", "").partition(";")[0].strip().lower()
    return came == "text/html" and address.media_type.partition(";")[0].lower() != "text/html"
