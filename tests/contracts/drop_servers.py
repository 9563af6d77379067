"""Real servers on loopback that a drop can be on: SFTP in this process, Samba and S3 beside it;
each behind a gate that can be shut."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loopback import free_port

PASSWORD = "correct-horse-battery"
_READY_WITHIN = 30


class Gate:
    """Forwards a port of its own to another one, while it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._links: list[socket.socket] = []
        self._server: socketserver.ThreadingTCPServer | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        gate = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                gate.forward(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def shut(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._links.clear()

    def forward(self, near: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as far:
            for link in (near, far):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links += [near, far]
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate(target: int) -> Iterator[Gate]:
    """A gate that is shut at the end."""
    door = Gate(target)
    try:
        yield door
    finally:
        door.shut()


@dataclass(frozen=True, kw_only=True)
class SftpServer:
    """An SFTP server whose users see `root` as the whole world."""

    port: int
    root: Path
    known_host: str
    """Its key, as known_hosts has it, without the host's name."""


@contextmanager
def sftp_server(root: Path, *, factory: Any = None, authorized: str = "") -> Iterator[SftpServer]:
    """The server, for the user `ola` with PASSWORD or the `authorized` public key. `factory` is the
    class of a special server."""
    asyncssh = pytest.importorskip("asyncssh", reason="asyncssh is not installed")
    key = asyncssh.generate_private_key("ssh-ed25519")

    # the library is imported only where it is there
    class Doorkeeper(asyncssh.SSHServer):  # type: ignore[misc, name-defined]
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("ola", PASSWORD)

        def begin_auth(self, _username: str) -> bool:
            if authorized:
                self._connection.set_authorized_keys(asyncssh.import_authorized_keys(authorized))
            return True

        def connection_made(self, connection: Any) -> None:
            self._connection = connection

    def files(channel: Any) -> Any:
        return (factory or asyncssh.SFTPServer)(channel, chroot=str(root).encode())

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncssh.listen(
        "127.0.0.1", 0, server_factory=Doorkeeper, server_host_keys=[key], sftp_factory=files
    )
    try:
        server = asyncio.run_coroutine_threadsafe(_awaited(listening), loop).result(_READY_WITHIN)
        yield SftpServer(
            port=server.get_port(), root=root, known_host=key.export_public_key().decode().strip()
        )
        asyncio.run_coroutine_threadsafe(_closed(server), loop).result(_READY_WITHIN)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _awaited(work: Any) -> Any:
    return await work


async def _closed(server: Any) -> None:
    server.close()
    await server.wait_closed()


@dataclass(frozen=True, kw_only=True)
class SmbServer:
    """A Samba server with the share `post`, which is the folder `root`."""

    port: int
    root: Path
    username: str


@contextmanager
def smb_server(folder: Path) -> Iterator[SmbServer]:
    """The server, for the user that runs the tests, with PASSWORD."""
    pytest.importorskip("smbclient", reason="smbprotocol is not installed")
    smbd = shutil.which("smbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if smbd is None:
        pytest.skip("Samba's smbd is not installed")
    user, port, root = pwd.getpwuid(os.geteuid()).pw_name, free_port(), folder / "share"
    root.mkdir()
    configuration = folder / "smb.conf"
    configuration.write_text(_smb_configuration(folder, root, user))
    added = subprocess.run(
        ["smbpasswd", "-c", configuration, "-L", "-a", "-s", user],
        input=f"{PASSWORD}\n{PASSWORD}\n",
        text=True,
        capture_output=True,
        check=False,
    )
    if added.returncode:
        pytest.skip(f"Samba's user cannot be made here: {added.stderr.strip()[:200]}")
    with _process(
        [smbd, "-F", "--no-process-group", "-p", str(port), "-s", str(configuration)], port
    ):
        yield SmbServer(port=port, root=root, username=user)


def _smb_configuration(folder: Path, root: Path, user: str) -> str:
    places = (
        "private dir",
        "lock directory",
        "state directory",
        "cache directory",
        "pid directory",
        "ncalrpc dir",
    )
    lines = [f"{place} = {folder / place.replace(' ', '-')}" for place in places]
    for place in places:
        (folder / place.replace(" ", "-")).mkdir(mode=0o755)
    return "\n".join(
        [
            "[global]",
            "server role = standalone server",
            "interfaces = 127.0.0.1",
            "bind interfaces only = yes",
            "disable netbios = yes",
            "load printers = no",
            "disable spoolss = yes",
            "passdb backend = tdbsam",
            "server min protocol = SMB3",
            f"log file = {folder / 'smbd.log'}",
            *lines,
            "[post]",
            f"path = {root}",
            "read only = no",
            f"valid users = {user}",
            f"force user = {user}",
            "",
        ]
    )


@contextmanager
def s3_server() -> Iterator[int]:
    """The port of moto's S3, in a process of its own."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    port = free_port()
    with _process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield port


@contextmanager
def _process(command: list[str], port: int) -> Iterator[None]:
    """A server in a session of its own, from when it can be reached on."""
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    for _ in range(_READY_WITHIN * 20):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        pause.wait(0.05)
    pytest.skip(f"the server {process.args!r} does not start here")
