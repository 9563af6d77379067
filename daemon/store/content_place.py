"""Opens the content store that the configuration names."""

from __future__ import annotations

from pathlib import Path

from daemon.config.store import StoreSettings
from daemon.core.buckets import BucketConnection
from daemon.store.content import ContentStore
from daemon.store.content_bucket import ContentBucket
from daemon.store.content_folder import ContentFolder


def bucket_of(settings: StoreSettings) -> BucketConnection | None:
    """Return the bucket for content; None if that is in a folder."""
    if isinstance(settings.content, Path):
        return None
    assert settings.s3
    address = settings.content
    return BucketConnection(address.bucket, address.prefix, settings.s3, settings.s3.proxies)


def content_of(settings: StoreSettings, writer: str = "") -> ContentStore:
    """Open the content store; half-written files begin with `writer`. Raises StoreError."""
    limit = settings.content_cache_mb * 1_000_000
    if bucket := bucket_of(settings):
        return ContentBucket(bucket, settings.content_folder, limit, writer)
    node = settings.node_name if settings.is_shared else None
    return ContentFolder(settings.content_folder, writer, node)
