"""S3 where it differs from a folder: what comes last, copies that were cut off, and what it says
when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import ValidationError

from connectors.destinations import s3
from connectors.destinations.s3 import S3Drop, Settings
from daemon.core.errors import StoreError, TemporaryFailure
from daemon.core.ports import Parcel
from tests.contracts.drop_servers import PASSWORD, s3_server
from tests.handing_over import hand_over

pytest.importorskip("obstore", reason="obstore is not installed")
MakeParcel = Callable[..., Parcel]
LARGE = 12 << 20


@dataclass
class Bucket:
    """A bucket of its own, past the connector."""

    server: str
    name: str
    folder: Path

    def __post_init__(self) -> None:
        from obstore.store import S3Store

        httpx.put(f"{self.server}/{self.name}").raise_for_status()
        how = {
            "endpoint": self.server,
            "region": "us-east-1",
            "access_key_id": "ola",
            "secret_access_key": "x",
        }
        # plain names are enough
        self.store = S3Store(self.name, config=how, client_options={"allow_http": True})  # type: ignore[arg-type]

    def settings(self, **options: Any) -> Settings:
        (self.folder / "secret").write_text(PASSWORD)
        usual = {
            "bucket": self.name,
            "endpoint": self.server,
            "region": "us-east-1",
            "access_key_id": "ola",
            "secret_key_file": "secret",
        }
        return Settings.model_validate(
            {**usual, "timeout": "20s", **options}, context={"base": self.folder}
        )

    def paths(self) -> list[str]:
        return sorted(each["path"] for page in self.store.list() for each in page)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket(server: str, tmp_path: Path) -> Bucket:
    return Bucket(server, f"post-{uuid4().hex}", tmp_path)


def test_without_a_prefix(bucket: Bucket, make_parcel: MakeParcel) -> None:
    """A drop may be the whole bucket, and the receipt shows where the letter lies."""
    receipt = hand_over(s3.connect("erp", bucket.settings()), make_parcel())
    assert receipt.reference == f"s3://{bucket.name}/{receipt.details['name']}"
    assert bucket.paths() == [
        f"{receipt.details['name']}/{file}"
        for file in ("001-vedtak-om-mva.pdf", "SHA256SUMS", "body.md", "message.json")
    ]


def test_message_json_comes_last(bucket: Bucket, make_parcel: MakeParcel) -> None:
    """Of a letter's folder message.json is the last to come, so that a consumer can wait for it."""
    hand_over(
        s3.connect("erp", bucket.settings()),
        make_parcel(files={"a.bin": b"x" * LARGE, "z.bin": b"y"}),
    )
    made = {
        each["path"].partition("/")[2]: each["last_modified"]
        for page in bucket.store.list()
        for each in page
    }
    assert made["message.json"] == max(made.values())


def test_large_files_come_whole(bucket: Bucket, make_parcel: MakeParcel) -> None:
    """A file that is uploaded in pieces and copied by the server has the bytes that it should."""
    data = bytes(range(256)) * (LARGE // 256)
    name = hand_over(
        s3.connect("erp", bucket.settings()), make_parcel(files={"a.bin": data})
    ).details["name"]
    assert bytes(bucket.store.get(f"{name}/001-a.bin").bytes()) == data


@pytest.mark.parametrize("layout", ["flat", "pdf-only", "csv"])
def test_other_layouts(bucket: Bucket, make_parcel: MakeParcel, layout: str) -> None:
    """Each layout is the same here as on a disk, and a repeat finds it."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    destination = s3.connect("erp", bucket.settings(layout=layout, prefix="post/inn"))
    receipt = hand_over(destination, make_parcel())
    hand_over(destination, make_parcel("letter-2"))
    tops = {path.removeprefix("post/inn/").partition("/")[0] for path in bucket.paths()}
    assert set(receipt.details["dropped"]) < tops
    assert not any(top.startswith(".") for top in tops)
    assert hand_over(destination, make_parcel()).details["found"]


@pytest.fixture
def drop(bucket: Bucket) -> S3Drop:
    return S3Drop(bucket.settings())


def staged(drop: S3Drop) -> str:
    folder = ".postmottak/x/brev"
    drop.write([(f"{folder}/001.pdf", [b"%PDF"]), (f"{folder}/message.json", [b"{}"])])
    return folder


def test_a_copy_that_was_cut_off_goes_on(drop: S3Drop, bucket: Bucket) -> None:
    """If some files were copied already, the rest follow under the same name."""
    source = staged(drop)
    bucket.store.put("brev/001.pdf", b"%PDF")
    bucket.store.put(".postmottak/claim-brev", source.encode())
    assert drop.publish(source, "brev")
    assert bucket.paths() == ["brev/001.pdf", "brev/message.json"]


def test_a_removal_that_was_cut_off_copies_nothing_again(drop: S3Drop, bucket: Bucket) -> None:
    """If message.json is gone from where it was staged the letter was published, even if its
    consumer has taken it since."""
    source = staged(drop)
    bucket.store.delete(f"{source}/message.json")
    assert drop.publish(source, "brev")
    assert bucket.paths() == []


def test_another_letter_of_that_name_is_not_mixed_with(drop: S3Drop, bucket: Bucket) -> None:
    """While another letter is being copied to a name, or if a file there is another one, nothing is
    published under it."""
    source = staged(drop)
    bucket.store.put(".postmottak/claim-brev", b".postmottak/y/brev")
    assert not drop.publish(source, "brev")
    assert "brev/001.pdf" not in bucket.paths()
    bucket.store.delete(".postmottak/claim-brev")
    bucket.store.put("brev/001.pdf", b"noe annet")
    assert not drop.publish(source, "brev")
    assert bytes(bucket.store.get("brev/001.pdf").bytes()) == b"noe annet"


def test_a_bucket_that_is_not_there_is_said(bucket: Bucket, make_parcel: MakeParcel) -> None:
    """A wrong bucket is told from a server that is down, and the check says it too."""
    destination = s3.connect("erp", bucket.settings(bucket="borte"))
    with pytest.raises(TemporaryFailure, match=r"has no bucket borte|the bucket borte"):
        hand_over(destination, make_parcel())
    assert [finding.ok for finding in destination.check()] == [False]


def test_a_store_that_fails_stays_the_stores_failure(
    bucket: Bucket, make_parcel: MakeParcel
) -> None:
    """A failure of the store is passed on as it is through the library, and nothing is left in the
    bucket."""

    def broken() -> Any:
        raise StoreError("gone")

    parcel = make_parcel()
    with pytest.raises(StoreError):
        hand_over(
            s3.connect("erp", bucket.settings()),
            replace(parcel, parts=(replace(parcel.parts[0], open=broken),)),
        )
    assert bucket.paths() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prefix": "../inn"}, "is not a valid prefix"),
        ({"prefix": ".skjult/inn"}, "is not a valid prefix"),
        ({"endpoint": "minio.example.no"}, "is not a valid server address"),
        ({"endpoint": "https://ola:passord@minio.example.no"}, "is not a valid server address"),
        ({"timeout": "0s"}, "longer than zero"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, options: dict[str, str], words: str
) -> None:
    """A configuration that could never work is a fault that says what to write."""
    (tmp_path / "secret").write_text(PASSWORD)
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate(
            {"bucket": "post", "access_key_id": "ola", "secret_key_file": "secret", **options},
            context={"base": tmp_path},
        )
