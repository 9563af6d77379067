"""A bare client: the same HTTP calls as Postmottak, and the same bytes written and synced.

It has no database, no routing, no retries, no limits, and no guarantee that a letter is dropped
once: what is left is the cost of the calls and of the disk in Python. Run as
`python -m benchmarks.bare FOLDER TARGET http.client|httpx THREADS`; prints the seconds that it
took, and those of processor time.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from connectors.sandbox.samples import sandbox_resources

_PATH = "/correspondence/api/v1/correspondence"
_CHUNK = 1 << 16
_LOCAL = threading.local()
Get = Callable[[str], Iterator[bytes]]
"""Yields the body at a path, in pieces."""


def _client(url: str, headers: dict[str, str]) -> Get:
    """Return the standard library's client, with an open connection for each thread."""

    def get(path: str) -> Iterator[bytes]:
        if not hasattr(_LOCAL, "connection"):
            _LOCAL.connection = http.client.HTTPConnection(urlsplit(url).netloc)
        _LOCAL.connection.request("GET", path, headers=headers)
        with _LOCAL.connection.getresponse() as response:
            while chunk := response.read(_CHUNK):
                yield chunk

    return get


def _httpx(url: str, headers: dict[str, str]) -> Get:
    client = httpx.Client(base_url=url, headers=headers, limits=httpx.Limits(max_connections=None))

    def get(path: str) -> Iterator[bytes]:
        with client.stream("GET", path) as response:
            yield from response.iter_raw(_CHUNK)

    return get


_CLIENTS = {"http.client": _client, "httpx": _httpx}


def _written(path: Path, chunks: Iterator[bytes] | list[bytes]) -> str:
    """Write a file and sync it. Returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _letter(get: Get, target: Path, key: str) -> None:
    overview: dict[str, Any] = json.loads(b"".join(get(f"{_PATH}/{key}")))
    content = overview["content"]
    folder = target / f".{key}"
    folder.mkdir()
    files = {
        "message.json": json.dumps(overview, indent=2).encode(),
        "body.md": content["messageBody"].encode(),
    }
    sums = {name: _written(folder / name, [data]) for name, data in files.items()}
    for part in content["attachments"]:
        kept = target / f".{part['id']}"
        _written(kept, get(f"{_PATH}/{key}/attachment/{part['id']}/download"))
        sums[part["fileName"]] = _written(folder / part["fileName"], [kept.read_bytes()])
    _written(
        folder / "SHA256SUMS",
        ["".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()],
    )
    folder.rename(target / key)


def _main(folder: Path, target: Path, client: str, threads: int) -> None:
    settings = tomllib.loads((folder / "postmottak.toml").read_text(encoding="utf-8"))["mailbox"][
        "altinn"
    ]
    token = (folder / "token").read_text(encoding="utf-8")
    get = _CLIENTS[client](
        settings["platform_url"], {"Authorization": f"Bearer {token}", "Accept": "*/*"}
    )
    target.mkdir()
    began, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        resources = sandbox_resources().values()
        paths = [
            f"{_PATH}?{urlencode({'resourceId': resource, 'role': 'Recipient'})}"
            for resource in resources
        ]
        listed = list(pool.map(lambda path: json.loads(b"".join(get(path)))["ids"], paths))
        list(
            pool.map(
                lambda key: _letter(get, target, key), [key for keys in listed for key in keys]
            )
        )
    print(time.perf_counter() - began, time.process_time() - processor)  # its result


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
