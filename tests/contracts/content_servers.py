"""Buckets of a real server on loopback, as content stores use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from daemon.config.store import BucketSettings
from daemon.core.buckets import BucketConnection
from daemon.store.content_bucket import ContentBucket
from tests.contracts.drop_servers import PASSWORD


@dataclass(frozen=True)
class ContentServer:
    """A server, and the folder for what this machine keeps of its buckets."""

    address: str
    folder: Path

    def bucket(self) -> str:
        """Make a bucket of its own, and return its name."""
        name = f"content-{uuid4().hex}"
        httpx.put(f"{self.address}/{name}").raise_for_status()
        return name

    def connection(self, bucket: str, **options: Any) -> BucketConnection:
        """How it is reached."""
        (self.folder / "secret").write_text(PASSWORD)
        usual = {
            "endpoint": self.address,
            "region": "us-east-1",
            "access_key_id": "ola",
            "secret_key_file": "secret",
            "timeout": "20s",
        }
        access = BucketSettings.model_validate({**usual, **options}, context={"base": self.folder})
        return BucketConnection(bucket, "post/content", access, access.proxies)

    def content(
        self, bucket: str, cache: str = "cache", limit: int = 1 << 30, **options: Any
    ) -> ContentBucket:
        """The content store of a node whose cache has that name."""
        return ContentBucket(self.connection(bucket, **options), self.folder / cache, limit)
