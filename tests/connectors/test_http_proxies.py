"""Calls through HTTP proxies: Altinn's, the webhook's, and S3's, and what is said of a proxy that
fails."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from connectors.altinn3 import access
from connectors.destinations.webhook import Settings, Webhook
from connectors.net.http_batch import Call
from connectors.net.http_client import HttpClient
from connectors.net.http_response import HttpResponse, json_object
from connectors.net.safe_client import CallFailed, SafeClient
from daemon.core.errors import MailboxUnavailable, TemporaryFailure
from daemon.core.ports import Parcel
from daemon.core.proxies import Proxies
from daemon.core.settings import Secret
from tests.connectors.http_tools import QUICK, Server
from tests.connectors.proxy_tools import (
    HOST,
    PASSWORD,
    USER,
    no_proxy_there,
    running_proxy,
)
from tests.connectors.webhook_tools import SECRET

MakeParcel = Callable[..., Parcel]


@pytest.fixture(name="encrypted")
def new_encrypted(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    with Server(context) as server:
        yield server


@pytest.fixture(name="plain")
def new_plain() -> Iterator[Server]:
    with Server() as server:
        yield server


def client(proxies: Proxies, ca_file: Path | None = None) -> HttpClient:
    return HttpClient(longest_pause=300, timeouts=QUICK, ca_file=ca_file, proxies=proxies)


def test_https_goes_through_a_tunnel(encrypted: Server, ca_file: Path) -> None:
    """The proxy sees host and port and not a word of the call; the server's certificate is verified
    all the same, and the tunnel is kept for the next call."""
    with (
        running_proxy(encrypted.port) as proxy,
        closing(client(proxy.proxies(), ca_file)) as http,
    ):
        for _ in range(3):
            url = f"https://{HOST}/x"
            headers = {"Authorization": "Bearer hush"}
            assert http.get(url, headers, json_object).value == {"fine": True}
        assert len(proxy.heads) == 1
        assert proxy.heads[0].startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
        assert "hush" not in proxy.heads[0]
        with (
            closing(client(proxy.proxies())) as other,
            pytest.raises(MailboxUnavailable, match="certificate cannot be verified"),
        ):
            other.get(f"https://{HOST}/x", {})


def test_http_goes_through_as_well(plain: Server) -> None:
    """An address without TLS is asked of the proxy as a whole."""
    with running_proxy(plain.port) as proxy, closing(client(proxy.proxies())) as http:
        assert http.get(f"http://{HOST}/x?a=b", {}, json_object).value == {"fine": True}
        assert proxy.heads[0].startswith(f"GET http://{HOST}/x?a=b HTTP/1.1\r\n")


def test_a_batch_goes_through_as_well(encrypted: Server, ca_file: Path) -> None:
    """Calls at once have tunnels of their own."""
    with (
        running_proxy(encrypted.port) as proxy,
        closing(client(proxy.proxies(), ca_file)) as http,
        http.batch(4) as batch,
    ):
        for _ in range(8):
            batch.add(Call(url=f"https://{HOST}/x", headers={}))
        assert all(isinstance(outcome, HttpResponse) for _, outcome in batch)
        assert 1 < len(proxy.heads) <= 8


def test_exceptions_and_this_machine_are_reached_directly(plain: Server) -> None:
    """What `no_proxy` names, and loopback in any case, never meets the proxy."""
    with running_proxy(plain.port) as proxy, closing(client(proxy.proxies())) as http:
        assert http.get(f"{plain.url}/x", {}).status == 200
        assert proxy.heads == []
    with (
        running_proxy(plain.port) as proxy,
        closing(client(proxy.proxies(exceptions=(HOST,)))) as http,
        pytest.raises(MailboxUnavailable, match="name cannot be resolved"),
    ):
        http.get(f"http://{HOST}/x", {})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_password_opens_the_proxy(
    encrypted: Server, plain: Server, ca_file: Path, scheme: str
) -> None:
    """The right password is enough for http and https; it may have any characters."""
    port = encrypted.port if scheme == "https" else plain.port
    with (
        running_proxy(port, login=True) as proxy,
        closing(client(proxy.proxies(USER, PASSWORD), ca_file)) as http,
    ):
        assert http.get(f"{scheme}://{HOST}/x", {}).status == 200
        assert len(proxy.heads) == 1


REFUSALS: dict[str, tuple[dict[str, Any], tuple[str, str], str, str]] = {
    "no password": (
        {"login": True},
        ("", ""),
        r"wants a user name and a password \(status 407\)",
        "set `proxy_password_file`",
    ),
    "wrong password": (
        {"login": True},
        (USER, "wrong"),
        r"refuses the user name or the password \(status 407\)",
        "correct the user name in `proxy`",
    ),
    "forbidden": (
        {"mood": "403"},
        ("", ""),
        r"does not connect to it \(status 403\)",
        "have the proxy allow",
    ),
    "cuts": ({"mood": "cuts"}, ("", ""), "broke off the connection", "speaks HTTP on that port"),
    "silent": ({"mood": "silent"}, ("", ""), "made no connection in time", "reaches the address"),
}


@pytest.mark.parametrize(("how", "login", "words", "remedy"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_proxy_does_is_told(
    how: dict[str, Any], login: tuple[str, str], words: str, remedy: str
) -> None:
    """Altinn's calls and the webhook's name the proxy, what it did, and what to do; no password is
    shown."""
    with running_proxy(**how) as proxy:
        told = list(failures(proxy.proxies(*login)))
    for each in told:
        assert f"the proxy http://127.0.0.1:{proxy.port} " in each
        assert re.search(words, each)
        assert remedy in each
        assert "wrong" not in each


def test_a_dead_proxy_is_told() -> None:
    """A proxy that does not run is not taken for a server that does not run."""
    for each in failures(no_proxy_there()):
        assert "the proxy http://127.0.0.1:" in each
        assert "cannot be reached: connection refused" in each
        assert "check that the proxy runs" in each


def failures(proxies: Proxies) -> Iterator[str]:
    """What a mailbox, a webhook and the webhook's check say, for https."""
    with closing(client(proxies)) as http, pytest.raises(MailboxUnavailable) as failed:
        http.post(f"https://{HOST}/x", {})
    yield str(failed.value)
    safe = SafeClient(tls=ssl.create_default_context(), seconds=2, largest=100, proxies=proxies)
    with closing(safe), pytest.raises(CallFailed) as call:
        safe.whole("GET", f"https://{HOST}/x", {})
    yield f"{call.value}; {call.value.remedy}"
    (finding,) = webhook(proxies, f"https://{HOST}/x", timeout="2s").check()
    assert not finding.ok
    yield finding.text


def test_a_plain_call_that_wants_a_login_is_no_answer(plain: Server) -> None:
    """A 407 to a call without TLS is the proxy's, and never taken for the server's refusal."""
    with running_proxy(plain.port, login=True) as proxy:
        with (
            closing(client(proxy.proxies())) as http,
            pytest.raises(MailboxUnavailable, match="wants a user name"),
        ):
            http.get(f"http://{HOST}/x", {})
        safe = SafeClient(
            tls=ssl.create_default_context(), seconds=2, largest=100, proxies=proxy.proxies()
        )
        with closing(safe), pytest.raises(CallFailed, match="wants a user name"):
            safe.whole("GET", f"http://{HOST}/x", {})
    assert plain.requests == []


def webhook(proxies: Proxies, url: str, **more: Any) -> Webhook:
    values = {"url": url, "secret_file": Secret(Path("webhook.secret"), SECRET), **more}
    return Webhook("erp", Settings.model_validate(values, context={"proxies": proxies}))


def test_a_webhook_goes_through(encrypted: Server, ca_file: Path, make_parcel: MakeParcel) -> None:
    """A letter is posted through the tunnel with the password, and the check says through which
    proxy it would be."""
    with running_proxy(encrypted.port, login=True) as proxy:
        destination = webhook(
            proxy.proxies(USER, PASSWORD), f"https://{HOST}/x", ca_file=str(ca_file)
        )
        (finding,) = destination.check()
        assert finding.ok
        assert f", through the proxy http://127.0.0.1:{proxy.port};" in finding.text
        destination.deliver(make_parcel())
        destination.close()
        assert len(encrypted.requests) == 1
        assert len(proxy.heads) == 2
        with pytest.raises(TemporaryFailure, match="refuses the user name"):
            webhook(proxy.proxies(USER, "x"), f"https://{HOST}/x").deliver(make_parcel())


def test_s3_goes_through(plain: Server, tmp_path: Path) -> None:
    """Requests of a bucket go to the proxy, which the failure names as well."""
    s3 = pytest.importorskip("connectors.destinations.s3")
    pytest.importorskip("obstore", reason="obstore is not installed")
    (tmp_path / "secret").write_text("x")
    values = {
        "bucket": "post",
        "endpoint": f"http://{HOST}",
        "access_key_id": "ola",
        "secret_key_file": "secret",
        "timeout": "2s",
    }
    with running_proxy(plain.port, login=True) as proxy:
        for login in ((USER, PASSWORD), (USER, "wrong")):
            context = {"base": tmp_path, "proxies": proxy.proxies(*login)}
            drop = s3.S3Drop(s3.Settings.model_validate(values, context=context))
            with pytest.raises(TemporaryFailure, match="through the proxy http://127"):
                drop.names("")
        assert proxy.heads[0].startswith(f"GET http://{HOST}/post")
        assert proxy.lets_in(proxy.heads[0])
    assert plain.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_s3_takes_no_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Where the configuration says that there is none, the library does not find one by itself."""
    s3 = pytest.importorskip("connectors.destinations.s3")
    pytest.importorskip("obstore", reason="obstore is not installed")
    (tmp_path / "secret").write_text("x")
    with running_proxy() as proxy, running_proxy() as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        values = {
            "bucket": "post",
            "endpoint": f"http://{host}:{server.port}",
            "access_key_id": "ola",
            "secret_key_file": "secret",
            "timeout": "2s",
        }
        drop = s3.S3Drop(s3.Settings.model_validate(values, context={"base": tmp_path}))
        with pytest.raises(TemporaryFailure):
            drop.names("")
        assert proxy.heads == []
        assert (server.heads != []) is (host != "[::1]")  # nothing listens there


def test_the_check_of_a_mailbox_names_the_proxy() -> None:
    """Each address that is called through a proxy is told with it, and whether the environment
    names it."""
    with running_proxy() as proxy:
        proxies = proxy.proxies(exceptions=("maskinporten.no",), from_environment=True)
    found = list(
        access.check_proxies(proxies, "https://maskinporten.no/", "https://platform.altinn.no")
    )
    text = f"platform.altinn.no is called through the proxy http://127.0.0.1:{proxy.port}"
    assert [each.text for each in found] == [f"{text}, which the environment names"]
    assert list(access.check_proxies(Proxies(), "https://maskinporten.no/")) == []
