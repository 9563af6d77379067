"""Surroundings: a store that other machines share is refused, and a secret that everybody can read
is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.endpoints import ApiSettings
from daemon.config.loader import Configuration, DeliverySettings, RoutingSettings
from daemon.config.store import StoreSettings
from daemon.core.errors import StoreError
from daemon.core.settings import Secret
from daemon.service import preflight
from daemon.service.preflight import (
    readable_secrets,
    refuse_shared_file_systems,
    shared_file_system,
)

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:40 / /srv rw - nfs4 server:/srv rw,vers=4.2
41 40 8:2 / /srv/local rw shared:9 master:1 - xfs /dev/sdb1 rw
42 22 0:41 / /mnt/felles\\040mappe rw - cifs //server/felles rw
43 22 0:42 / /data rw - ext4 /dev/sdc1 rw
44 22 0:43 / /data rw - fuse.sshfs host:/ rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/postmottak", None),
        ("/srv/postmottak", "nfs4"),
        ("/srv/local/postmottak", None),
        ("/srvx", None),
        ("/mnt/felles mappe/post", "cifs"),
        ("/data/post", "fuse.sshfs"),
    ],
)
def test_where_a_path_lies(path: str, kind: str | None) -> None:
    """The innermost mount counts, of two at one place the later, also where its name has a
    blank."""
    assert shared_file_system(MOUNTS, Path(path)) == kind


def store_at(folder: Path) -> StoreSettings:
    return StoreSettings(
        database=f"sqlite:///{folder / 'postmottak.db'}", content=folder / "content"
    )


def test_a_shared_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the place and the type, and says what to do; a local disk is fine."""
    refuse_shared_file_systems(store_at(tmp_path))
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / {tmp_path} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(preflight, "_MOUNTS", tmp_path / "mountinfo")
    with pytest.raises(
        StoreError,
        match=r"database .*postmottak\.db lies on a file system of type nfs4.*"
        "keep it on a local disk",
    ):
        refuse_shared_file_systems(store_at(tmp_path))


def test_a_secret_for_everybody(tmp_path: Path) -> None:
    """A secret that others can read is named with what to run; one that they cannot is not."""
    secret = tmp_path / "token"
    secret.write_text("x")
    configuration = Configuration(
        path=tmp_path / "postmottak.toml",
        text="",
        store=store_at(tmp_path),
        mailboxes=(),
        destinations=(),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=tmp_path / "routing.toml"),
        api=ApiSettings(token_file=Secret(secret, "x")),
    )
    secret.chmod(0o644)
    assert [str(each) for each in readable_secrets(configuration)] == [
        f"{secret}: every user of this machine can read this secret. Run: chmod o-rwx {secret}"
    ]
    secret.chmod(0o640)
    assert readable_secrets(configuration) == []
