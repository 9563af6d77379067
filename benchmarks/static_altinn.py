"""Altinn as a static server: nginx gives answers that the sandbox has made beforehand.

A server in Python on the same cores is measured along with its clients; nginx needs a tenth of a
millisecond for a letter. It does not verify tokens and forgets what was fetched, and a download has
a Content-Length, as with the sandbox's `announce_lengths`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.loopback import GROUP, USER, open_to_all, wait_for_port
from benchmarks.static_answers import Answers, write_answers
from connectors.sandbox.altinn3.correspondence_api import BASE
from connectors.sandbox.setup import Scene

_NGINX = """\
daemon off;
worker_processes 1;
pid {own}/nginx.pid;
events {{
  worker_connections 512;
}}
http {{
  access_log off;
  log_format moment "$msec";
  client_body_temp_path {own}/body;
  proxy_temp_path {own}/proxy;
  fastcgi_temp_path {own}/fastcgi;
  uwsgi_temp_path {own}/uwsgi;
  scgi_temp_path {own}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 1h;
  keepalive_requests 1000000;
  open_file_cache max=100000 inactive=1h;
  open_file_cache_valid 1h;
  etag off;
  if_modified_since off;
  max_ranges 0;
  types {{ }}
  map_hash_bucket_size 256;
  map "$arg_role $arg_resourceid" $list {{
    default "none";
{lists}
  }}
  server {{
    listen 127.0.0.1:{port};
    root {answers};
{locations}
  }}
}}
"""
_LOCATION = """\
    location {path} {{
      default_type "{kind}";
      {more}
      try_files {file} =404;
    }}"""
# kind, where it is asked for, the file that answers, and what else holds there
_LOCATIONS = (
    # nginx does not let post to a file
    ("token", "= /token", "/token", "error_page 405 =200 /token;"),
    ("exchange", "= /authentication/api/v1/exchange/maskinporten", "/exchange", ""),
    ("resourcelist", "= /resourceregistry/api/v1/resource/resourcelist", "/resourcelist", ""),
    ("list", f"= {BASE}", "/$list", "access_log {own}/lists.log moment;"),
    ("overview", f"~ ^{BASE}/([^/]+)$", "/overview/$1", ""),
    (
        "download",
        f"~ ^{BASE}/([^/]+)/attachment/([^/]+)/download$",
        "/download/$1/$2",
        "",
    ),
)


@dataclass(frozen=True, kw_only=True)
class StaticAltinn:
    """A static Altinn that is running."""

    scene: Path
    """The folder with the key, the configuration, the routing table and a token."""
    pid: int
    lists: Path
    """Has a line for each list that was asked for: when, in seconds since 1970."""


def nginx() -> str | None:
    """Return the path of nginx, if it is installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def static_altinn(folder: Path, contents: Sequence[bytes]) -> Iterator[StaticAltinn]:
    """Serve a letter for each of the contents, its attachment, until the block ends.

    Requires nginx. There are at most MOST_LETTERS.
    """
    program, own, scene = nginx(), folder / "nginx", Scene(folder=folder / "scene")
    assert program
    own.mkdir(parents=True)
    own.chmod(0o777)
    open_to_all(folder)
    answers = write_answers(folder / "answers", scene, contents)
    port = urlsplit(answers.url).port
    assert port
    configuration = folder / "nginx.conf"
    configuration.write_text(_configuration(answers, own, port), encoding="utf-8")
    command = [program, "-p", str(own), "-e", "stderr", "-c", str(configuration)]
    with subprocess.Popen(command, user=USER, group=GROUP) as process:  # noqa: S603  # its arguments
        try:
            wait_for_port(port, "nginx")
            yield StaticAltinn(scene=scene.folder, pid=process.pid, lists=own / "lists.log")
        finally:
            process.terminate()


def _configuration(answers: Answers, own: Path, port: int) -> str:
    lists = (f'    "Recipient {key}" "{name}";' for key, name in answers.lists.items())
    return _NGINX.format(
        own=own,
        port=port,
        answers=answers.folder,
        lists="\n".join(lists),
        locations="\n".join(
            _location(path, file, more.format(own=own), dict(answers.heads[kind]))
            for kind, path, file, more in _LOCATIONS
        ),
    )


def _location(path: str, file: str, more: str, headers: Mapping[str, str]) -> str:
    """Return a location with the sandbox's headers, and without a time that it does not send."""
    own = {name: value for name, value in headers.items() if name != "Content-Type"}
    lines = [
        f'add_header {name} "{value}";' for name, value in {**own, "Last-Modified": ""}.items()
    ]
    lines += [more] * bool(more)
    return _LOCATION.format(
        path=path, kind=headers["Content-Type"], more="\n      ".join(lines), file=file
    )
