"""Fetch a file from its owner. Whatever goes wrong is a state of the file, with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import structlog

from connectors.altinn3.maskinporten import Tokens
from connectors.dialogporten.addresses import Resolver, addresses_of, why_not
from connectors.dialogporten.files import DialogFile, FileAddress
from connectors.dialogporten.letters import state_for
from connectors.dialogporten.owners import OwnerRule, TokenKind
from connectors.net.http_client import Download, HttpClient
from connectors.net.http_response import HttpResponse
from daemon.core.errors import AccessRefused, MailboxUnavailable, PartUnavailable
from daemon.core.model import PartState

_log = structlog.get_logger(__name__)
_GONE = frozenset({404, 410})
_REFUSED = frozenset({401, 403})


class Downloads:
    """Files of owners. May be used from several threads."""

    def __init__(
        self, http: HttpClient, tokens: Tokens, resolve: Resolver | None = addresses_of
    ) -> None:
        self._http, self._tokens, self._resolve = http, tokens, resolve

    def refusal(self, file: DialogFile, rule: OwnerRule) -> str:
        """Return why no address of the file may be called; empty if one may be."""
        if not file.authorized:
            return "the owner withholds it from this system user"
        if not file.addresses:
            return "it has no address"
        wanted = _wanted(file, rule)
        if not wanted:
            return "it has only addresses for people, where a log-in comes first"
        reasons = [why_not(each.url, rule, self._resolve) for each in wanted]
        if all(reasons):
            return reasons[0]
        if rule.lacks_scope:
            return "its owner wants a token, and `scope` is not set for the owner"
        return ""

    @contextmanager
    def stream(self, party: str, file: DialogFile, rule: OwnerRule) -> Iterator[Iterator[bytes]]:
        """Open the file's bytes.

        Raises PartUnavailable, also while they are read: it never holds up the letter.
        """
        if reason := self.refusal(file, rule):
            raise self._unavailable(file, reason, state_for(reason))
        reply = self._first(party, file, rule)
        with closing(reply):
            yield self._bounded(reply, file, rule)

    def _first(self, party: str, file: DialogFile, rule: OwnerRule) -> Download:
        """Return the first address that gives a file. Raises PartUnavailable."""
        trouble = self._unavailable(file, "no address gave it")
        for address in _wanted(file, rule):
            if why_not(address.url, rule, self._resolve):
                continue
            try:
                return self._open(party, file, address, rule)
            except PartUnavailable as error:
                trouble = error
        raise trouble

    def _open(
        self, party: str, file: DialogFile, address: FileAddress, rule: OwnerRule
    ) -> Download:
        try:
            reply = self._http.download(address.url, self._headers(party, rule))
        except (MailboxUnavailable, AccessRefused) as error:
            raise self._unavailable(file, str(error)) from error
        if isinstance(reply, HttpResponse):
            raise self._answered(file, reply)
        if _is_page(reply.headers, address):
            reply.close()
            raise self._unavailable(file, "a log-in page came instead of a file")
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

    def _answered(self, file: DialogFile, reply: HttpResponse) -> PartUnavailable:
        if reply.status in _GONE:
            reason = f"its owner does not have it any more ({reply.status})"
            return self._unavailable(file, reason, PartState.PURGED)
        if reply.status in _REFUSED:
            return self._unavailable(file, f"its owner refuses it ({reply.status})")
        return self._unavailable(file, f"its owner answered {reply.status}")

    def _bounded(self, reply: Download, file: DialogFile, rule: OwnerRule) -> Iterator[bytes]:
        size = 0
        try:
            for chunk in reply.chunks:
                size += len(chunk)
                if size > rule.bytes_at_most:
                    raise self._unavailable(
                        file, f"it is larger than {rule.largest_file} MiB (`largest_file`)"
                    )
                yield chunk
        except MailboxUnavailable as error:
            raise self._unavailable(file, str(error)) from error

    def _unavailable(
        self, file: DialogFile, reason: str, state: PartState = PartState.UNAVAILABLE
    ) -> PartUnavailable:
        _log.warning("a file cannot be had", file=file.id, reason=reason)
        return PartUnavailable(f"file {file.id}: {reason}", state=state)


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
