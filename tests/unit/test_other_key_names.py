"""Settings under the names that other programs have for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.faults import FaultList
from daemon.config.loader import Kind
from daemon.core.spelling import other_word_for
from daemon.routing.rows import Recipient
from daemon.service import plugins


@pytest.mark.parametrize(
    ("kind", "type_", "key", "meant"),
    [
        ("destination", "smtp", "from", "sender"),
        ("destination", "smtp", "tls", "security"),
        ("destination", "smtp", "to", "recipients"),
        ("destination", "smtp", "server", "host"),
        ("destination", "smtp", "Password", "password_file"),
        ("destination", "smtp", "user", "username"),
        ("destination", "webhook", "endpoint", "url"),
        ("destination", "webhook", "secret", "secret_file"),
        ("destination", "soap", "url", "address"),
        ("destination", "filedrop", "folder", "path"),
        ("destination", "s3", "url", "endpoint"),
        ("mailbox", "altinn3", "kid", "key_id"),
        ("mailbox", "altinn3", "private_key", "key_file"),
        ("mailbox", "altinn3", "organisations", "parties"),
        ("mailbox", "altinn3", "interval", "poll_every"),
    ],
)
def test_the_known_key_is_suggested(kind: Kind, type_: str, key: str, meant: str) -> None:
    """A key that is called otherwise in other programs is answered with the one that is meant."""
    settings = plugins.find_settings(kind, type_)
    assert settings is not None
    faults = FaultList("postmottak.toml", "")
    faults.validate(settings, {key: "x"}, (kind, "x"), Path())
    (remedy,) = [each.remedy for each in faults.faults if each.key.endswith(f".{key}")]
    assert remedy == f"Did you mean {meant!r}?"


def test_a_key_that_means_nothing_here_gets_no_suggestion() -> None:
    """A word for a setting that this section does not have suggests nothing that it cannot be."""
    assert other_word_for("tls", Recipient.model_fields) == ""
    assert other_word_for("zzz", ["sender"]) == ""
