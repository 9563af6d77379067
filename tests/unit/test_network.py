"""`[network]` and a mailbox's own proxy: which proxy a connection goes through, and what is wrong
with the options."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sandbox.altinn3.access import ready_client
from daemon.config import loader
from daemon.core.proxies import environment_proxies, parse_proxy, proxies
from daemon.service import plugins

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine that runs the tests has a say."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def read(folder: Path, network: str = "", mailbox: str = "") -> loader.Reading:
    (folder / "maskinporten.pem").write_text(ready_client("991825827").private_key)
    (folder / "proxy.password").write_text("hush\n")
    (folder / "hook.secret").write_text("whsec_cG9zdG1vdHRhayBzYW5kYm94IHNlY3JldA==")
    path = folder / "postmottak.toml"
    path.write_text(f"""
[store]
database = "sqlite:///postmottak.db"
content = "content"
[routing]
file = "routing.toml"
{network}
[mailbox.altinn]
type = "altinn3"
environment = "prod"
client_id = "2f8d5c1e-5f0e-4f6b-8f43-0a8f0e7d5b11"
key_file = "maskinporten.pem"
key_id = "a"
parties = ["974761076"]
{mailbox}
[destination.erp]
type = "webhook"
url = "https://erp.example.no/x"
secret_file = "hook.secret"
""")
    return loader.read(path, plugins.find_settings, plugins.connector_types())


def both(folder: Path, network: str = "", mailbox: str = "") -> tuple[str, str]:
    """The proxies of the mailbox and of the webhook, in words."""
    found = read(folder, network, mailbox)
    assert found.configuration, found.faults
    settings = (
        found.configuration.mailboxes[0].settings,
        found.configuration.destinations[0].settings,
    )
    first, second = (str(each.proxies.of("https://x.example.no/") or "") for each in settings)
    return first, second


NETWORK = (
    '[network]\nproxy = "http://ola@p.example.no:3128"\nproxy_password_file = "proxy.password"'
)


def test_all_connectors_use_the_proxy_of_the_network(tmp_path: Path) -> None:
    """`[network]` counts for mailboxes and destinations, with the password of the file, which no
    text shows."""
    assert both(tmp_path, NETWORK) == ("http://p.example.no:3128",) * 2
    found = read(tmp_path, NETWORK).configuration
    assert found
    used = found.mailboxes[0].settings.proxies
    assert used.https
    assert (used.https.username, used.https.password) == ("ola", "hush")
    assert "hush" not in f"{used} {used!r} {used.https} {used.https!r} {found.mailboxes[0]!r}"
    assert used.https.secret_url == "http://ola:hush@p.example.no:3128"


def test_a_mailbox_can_have_its_own(tmp_path: Path) -> None:
    """A mailbox's proxy, or none with an empty one, takes the place of the network's, for it
    alone."""
    own = 'proxy = "http://q.example.no:8080"'
    assert both(tmp_path, NETWORK, own) == ("http://q.example.no:8080", "http://p.example.no:3128")
    assert both(tmp_path, NETWORK, 'proxy = ""') == ("", "http://p.example.no:3128")
    excepted = own + '\nno_proxy = [".example.no"]'
    assert both(tmp_path, NETWORK, excepted) == ("", "http://p.example.no:3128")


def test_the_environment_counts_where_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY and NO_PROXY count until `proxy` is written, be it empty."""
    monkeypatch.setenv("HTTPS_PROXY", "http://e.example.no:1")
    assert both(tmp_path) == ("http://e.example.no:1",) * 2
    assert both(tmp_path, NETWORK) == ("http://p.example.no:3128",) * 2
    assert both(tmp_path, '[network]\nproxy = ""') == ("", "")
    assert both(tmp_path, '[network]\nno_proxy = ["x.example.no"]') == ("", "")
    monkeypatch.setenv("no_proxy", "example.no")
    assert both(tmp_path) == ("", "")


FAULTS = {
    'proxy = "http://a:b@p.example.no"': "proxy_password_file",
    'proxy = "socks5://p.example.no"': "not the address of an HTTP proxy",
    'proxy = "https://p.example.no"': "not the address of an HTTP proxy",
    'proxy = "http://"': "not a valid address",
    'proxy = "http://p.example.no:99999"': "not a valid address",
    'proxy = "http://p.example.no/path"': "not a valid address",
    'proxy = "http://p.example.no"\nproxy_password_file = "proxy.password"': "without a user name",
    'proxy_password_file = "proxy.password"': "without a user name",
    'proxy = "http://a@p.example.no"\nproxy_password_file = "none"': "cannot be read",
    'no_proxy = ["a b"]': "not a valid host",
    'proxi = ""': "proxy",
}


@pytest.mark.parametrize(("text", "words"), FAULTS.items(), ids=FAULTS)
def test_a_wrong_option_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    """Each mistake has its key, line and remedy, and no text shows a password."""
    found = read(tmp_path, f"[network]\n{text}")
    assert found.configuration is None
    (fault,) = found.faults
    assert fault.key.startswith("network")
    assert fault.line
    assert words in f"{fault.problem} {fault.remedy}"
    assert "a:b" not in str(fault)


def test_a_mailbox_with_half_a_proxy_is_told(tmp_path: Path) -> None:
    """Exceptions without a proxy of its own would be read as the network's, so they are refused."""
    (fault,) = read(tmp_path, NETWORK, 'no_proxy = ["a.example.no"]').faults
    assert "no_proxy without proxy" in fault.problem


def test_a_wrong_variable_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment that cannot be used is named, with the way out, and its password
    is not shown."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://ola:hush@p.example.no")
    (fault,) = read(tmp_path).faults
    assert "HTTPS_PROXY in the environment" in fault.problem
    assert 'proxy = ""' in fault.remedy
    assert "hush" not in str(fault)
    assert both(tmp_path, '[network]\nproxy = ""') == ("", "")


EXCEPTIONS: list[tuple[str, str, bool]] = [
    ("example.no", "https://example.no/", True),
    ("example.no", "https://a.example.no/", True),
    (".example.no", "https://a.example.no/", True),
    ("*.example.no", "https://a.example.no/", True),
    ("example.no", "https://notexample.no/", False),
    ("example.no:8443", "https://example.no/", False),
    ("example.no:443", "https://example.no/", True),
    ("EXAMPLE.no", "https://Example.NO./", True),
    ("*", "https://a.example.no/", True),
    ("10.0.0.0/8", "https://10.1.2.3/", True),
    ("10.0.0.0/8", "https://11.1.2.3/", False),
    ("10.1.2.3", "https://10.1.2.3/", True),
    ("2001:db8::/32", "https://[2001:db8::1]/", True),
    ("[2001:db8::1]", "https://[2001:db8::1]/", True),
    ("", "https://127.0.0.1/", True),
    ("", "https://[::1]:8/", True),
    ("", "http://localhost/", True),
    ("", "http://example.no/", False),
]


@pytest.mark.parametrize(("exception", "url", "direct"), EXCEPTIONS)
def test_exceptions(exception: str, url: str, direct: bool) -> None:
    """Names with what is below them, addresses, networks and ports are told apart, and this machine
    is always reached directly."""
    found = proxies("http://p.example.no", "", [exception] if exception else [], {})
    assert (found.of(url) is None) is direct


def test_the_environment_is_read_as_curl_reads_it() -> None:
    """Lower case comes first, ALL_PROXY stands in, and http and https may differ."""
    found = environment_proxies(
        {
            "https_proxy": "p.example.no:1",
            "HTTPS_PROXY": "http://q.example.no:2",
            "ALL_PROXY": "http://ola:a%40b@r.example.no:3",
            "NO_PROXY": "localhost, .internal ,,10.0.0.0/8, what is this",
        }
    )
    assert str(found.of("https://x.no/")) == "http://p.example.no:1"
    assert str(found.of("http://x.no/")) == "http://r.example.no:3"
    assert found.http == parse_proxy("http://ola:a%40b@r.example.no:3")
    assert found.http
    assert found.http.password == "a@b"
    assert found.of("https://a.internal/") is None
    assert environment_proxies({}).of("https://x.no/") is None
