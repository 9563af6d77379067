"""Call Altinn's platform as a party's system user, with a new token if one is not accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from connectors.altinn3.maskinporten import Tokens
from connectors.altinn3.platform_batch import PlatformBatch
from connectors.altinn3.token_life import READ, is_dead_token, never_accepted
from connectors.net.http_client import Download, HttpClient
from connectors.net.http_response import HttpResponse, Parser

DIALOGPORTEN = "digdir:dialogporten"

_Reply = TypeVar("_Reply", HttpResponse, HttpResponse | Download)


class Platform:
    """The platform at `url`.

    All methods may be called from several threads, and raise MailboxUnavailable or AccessRefused.

    Paths begin with a slash. An answer other than 200 is returned, for the caller to judge.
    """

    def __init__(
        self, http: HttpClient, tokens: Tokens, url: str, headers: Mapping[str, str]
    ) -> None:
        self._http = http
        self._public = http.apart()  # no letter may depend on whether these calls succeed
        self._tokens = tokens
        self._url = url
        self._headers = headers

    def get(self, party: str, path: str, parse: Parser, scope: str = READ) -> HttpResponse:
        """Get JSON."""
        return self._authorized(
            party,
            scope,
            "application/json",
            lambda headers: self._http.get(self._url + path, headers, parse),
        )

    def post(self, party: str, path: str) -> HttpResponse:
        """Post an empty body."""
        return self._authorized(
            party,
            READ,
            "application/json",
            lambda headers: self._http.post(self._url + path, headers),
        )

    def post_json(self, party: str, path: str, content: bytes, scope: str) -> HttpResponse:
        """Post JSON."""
        return self._authorized(
            party,
            scope,
            "application/json",
            lambda headers: self._http.post(
                self._url + path, {**headers, "Content-Type": "application/json"}, content
            ),
        )

    def delete(self, party: str, path: str, scope: str) -> HttpResponse:
        """Delete what is at a path."""
        return self._authorized(
            party,
            scope,
            "application/json",
            lambda headers: self._http.delete(self._url + path, headers),
        )

    def download(self, party: str, path: str) -> HttpResponse | Download:
        """Get a stream. The caller closes a Download."""
        return self._authorized(
            party, READ, "*/*", lambda headers: self._http.download(self._url + path, headers)
        )

    @contextmanager
    def batch(self, at_once: int) -> Iterator[PlatformBatch]:
        """Make many calls at once in this thread, at most `at_once`; see PlatformBatch.

        What has not ended when the block is left is broken off.
        """
        with self._http.batch(at_once) as batch:
            yield PlatformBatch(batch, self._tokens, self._url, self._headers)

    def look_up(self, path: str, parse: Parser) -> HttpResponse:
        """Get public JSON, without a token. A failure does not count against the platform."""
        return self._public.get(
            self._url + path, {**self._headers, "Accept": "application/json"}, parse
        )

    def _authorized(
        self, party: str, scope: str, accept: str, call: Callable[[Mapping[str, str]], _Reply]
    ) -> _Reply:
        for _ in range(2):
            token = self._tokens.token(party, scope)
            reply = call({**self._headers, "Authorization": f"Bearer {token}", "Accept": accept})
            if not is_dead_token(reply):
                return reply
            self._tokens.drop(party, scope, token)
        raise never_accepted(party)
