"""Opens the content store that the configuration names."""

from __future__ import annotations

from pathlib import Path

from daemon.config.store import StoreSettings
from daemon.core.buckets import BucketConnection
from daemon.store.content import ContentStore
from daemon.store.content_bucket import ContentBucket
from daemon.store.content_folder import ContentFolder


def content_of(settings: StoreSettings, writer: str = "") -> ContentStore:
    """Open the content store; half-written files begin with `writer`. Raises StoreError."""
    if isinstance(settings.content, Path):
        return ContentFolder(
            settings.content, writer, settings.node if settings.is_shared else None
        )
    assert settings.s3
    address = settings.content
    bucket = BucketConnection(address.bucket, address.prefix, settings.s3, settings.s3.proxies)
    limit = settings.content_cache_mb * 1_000_000
    return ContentBucket(bucket, settings.content_folder, limit, writer)
