"""Makes the pictures of the page for the documents, from the demo: `make pictures`.

Needs a browser (Debian's chromium, or the one that CHROMIUM names). They are 1280 pixels wide, and
have few colours, so that they stay small.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs/pictures"
_WIDTH, _HEIGHT = 1280, 800
_COLOURS = 128
_LARGEST = 150_000
"""Bytes."""
ADDRESSES = {
    "overview": "/",
    "letters": "/letters",
    "letter": "/letters?q=skatt",  # the first of these
    "deliveries": "/deliveries",
    "routing": "/routing",
}


def main() -> None:
    """Write every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or sys.exit("no browser")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with demo() as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=root)
        page = browser.new_page(
            viewport={"width": _WIDTH, "height": _HEIGHT}, locale="nb-NO", color_scheme="light"
        )
        page.goto(link)
        home = re.match(r"https?://[^/]+", page.url)
        assert home
        for name, address in ADDRESSES.items():
            page.goto(f"{home[0]}{address}")
            if name == "letter":
                page.get_by_test_id("letter").first.get_by_role("link").first.click()
            write(name, page)
        browser.close()


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo until the block ends; yield the link that logs in."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("postmottak")), "demo", "--page"]
    process = subprocess.Popen(  # noqa: S603  # the command is above
        [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        links = (re.search(r"http://\S+/login/link/\S+", line) for line in process.stdout)
        found = next((each for each in links if each), None)
        assert found, "the demo has printed no link"
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)


def write(name: str, page: Page) -> None:
    """Write what the window shows, in few colours."""
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = FOLDER / f"{name}.png"
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    assert size < _LARGEST, f"{path} has {size} bytes"
    sys.stdout.write(f"{path}: {size} bytes\n")


if __name__ == "__main__":
    main()
