"""Plain words for trouble with a connection."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from connectors.net.diagnostics import explain_error, is_host, remedy_for


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)),
            "connection refused",
        ),
        (TimeoutError("timed out"), "there was no answer in time"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "its name cannot be resolved (name or service not known)",
        ),
        (OSError(554, b"what the server said"), "otherwise"),
        (OSError("something long"), "otherwise"),
        (ValueError("something else"), "otherwise"),
    ],
)
def test_an_error_in_plain_words(error: Exception, words: str) -> None:
    """What the system says is said in plain words, and what the other side said is not repeated."""
    assert explain_error(error, "otherwise") == words


def test_the_cause_is_found_behind_a_librarys_error() -> None:
    """The reason is found however deep a library has wrapped it."""
    library = RuntimeError("the library's words")
    library.__cause__ = ValueError("between")
    library.__cause__.__context__ = TimeoutError()
    assert explain_error(library, "otherwise") == "there was no answer in time"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "check that it runs"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name server"),
        (ssl.SSLError(1, "x"), "speaks TLS on that port"),
        (ValueError("x"), "intercepts the connection"),
    ],
    ids=["refused", "name", "tls", "nonsense"],
)
def test_what_to_do_about_it(error: Exception, words: str) -> None:
    """Where to look depends on how far the connection came, and is told of a library's error as
    well."""
    library = RuntimeError("the library's words")
    library.__cause__ = error
    assert words in remedy_for(library)


@pytest.mark.parametrize(
    "text", ["smtp.example.no", "localhost", "127.0.0.1", "::1", "blåbær.example.no"]
)
def test_hosts(text: str) -> None:
    """Names and addresses are hosts."""
    assert is_host(text)


@pytest.mark.parametrize("text", ["", "a b", "a..b", "https://x", "a/b", "ola@x", "x" * 70, "a\n"])
def test_no_hosts(text: str) -> None:
    """What could not be looked up, or would be looked up as something else, is not a host."""
    assert not is_host(text)
