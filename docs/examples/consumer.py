"""Take letters from Postmottak into a folder: from a drop, from the API, or by webhook.

    python3 consumer.py drop DROP INBOX
    python3 consumer.py api http://127.0.0.1:8765/api/v1 TOKEN_FILE DESTINATION INBOX
    python3 consumer.py webhook PORT SECRET_FILE TOKEN_FILE INBOX

Each way is some 20 lines; what they share stands first. `drop` takes letters in the layout folder,
and `webhook` those with `payload = "with-links"`. Every letter becomes a folder in INBOX, named by
its delivery, whole or not at all; running it again does no harm. A letter that cannot be taken now
is reported, stays where it is, and holds up no other. INBOX is on a disk of this machine; it is
created, the folder that it is in is not. It needs Python 3.10 or later and nothing else. Copy what
you need.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import sys
import time
import urllib.request
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlencode


def keep(inbox, letter, read):
    """Keep a letter with its text and its files, durably, unless it is kept already (a repeat)."""
    kept = inbox / letter["delivery"]["id"]
    unfinished = inbox / f".{kept.name}"
    if not kept.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        inbox.mkdir(exist_ok=True)
        unfinished.mkdir()
        for file in [letter["body"], *letter["files"]]:
            if file["sha256"] and not file["deleted_at"]:  # others are not here
                write(unfinished / file["name"], whole(file, read))
        write(unfinished / "message.json", json.dumps(letter).encode())
        sync(unfinished)
        unfinished.rename(kept)
    sync(inbox)  # also for a repeat: a run before may have ended just before this
    sync(inbox.parent)


def whole(file, read):
    """Read a file of a letter; one that comes damaged is read once more."""
    for _ in range(2):
        data = read(file["name"])
        if hashlib.sha256(data).hexdigest() == file["sha256"]:
            return data
    raise ValueError(f"{file['name']} is damaged")


def write(path, data):
    """Write a file, and wait until its bytes are on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder):
    """Wait until the names in a folder are on the disk; Windows has no call for that."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def report(letter, error):
    """Say that a letter could not be taken, for now."""
    sys.stderr.write(f"{letter}: {error}\n")


def call(address, token, data=None):
    """Call the API: with data a POST, otherwise a GET. Every failure is an OSError."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except HTTPException as error:  # such as an answer that ends early
        raise OSError(f"the answer is not complete: {error!r}") from error


def take_from_drop(drop, inbox):
    """Take every letter that lies in a drop; return how many could not be taken."""
    failed = 0
    for folder in sorted(drop.iterdir()):  # a folder is complete when it is there
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            take_folder(drop, folder, inbox)
        except OSError as error:
            report(folder.name, error)
            failed += 1
    return failed


def take_folder(drop, folder, inbox):
    """Take a letter of a drop, or answer why it cannot be used."""
    try:
        letter = json.loads((folder / "message.json").read_bytes())
        keep(inbox, letter, lambda name: (folder / name).read_bytes())
    except ValueError as error:  # it stays where it is, and the operator sees why
        answer = drop / f".{folder.name}.err"
        answer.write_text(f"permanent\n{error}\n", encoding="utf-8")
        answer.rename(drop / f"{folder.name}.err")
    else:
        shutil.rmtree(folder)  # which says that the letter is taken


def take_from_api(api, token, destination, inbox):
    """Fetch every letter that waits at a destination; return how many could not be taken."""
    cursor, failed = "", 0
    while cursor is not None:
        query = urlencode({"destination": destination, "cursor": cursor})
        page = json.loads(call(f"{api}/deliveries?{query}", token))
        for letter in page["letters"]:
            try:
                take_letter(api, token, letter, inbox)
            except OSError as error:  # it stays on the list
                report(letter["delivery"]["id"], error)
                failed += 1
        cursor = page["next_cursor"]
    return failed


def take_letter(api, token, letter, inbox):
    """Fetch a letter's files, and acknowledge it; reject one that is damaged at Postmottak."""
    message = f"{api}/messages/{letter['id']}"
    at = {file["name"]: f"{message}/attachments/{file['name']}" for file in letter["files"]}
    at[letter["body"]["name"]] = f"{message}/body"
    answer = f"{api}/deliveries/{letter['delivery']['id']}"
    try:
        keep(inbox, letter, lambda name: call(at[name], token))
    except ValueError as error:
        call(f"{answer}/reject", token, json.dumps({"reason": str(error)}).encode())
    else:
        call(f"{answer}/ack", token, b"")


def take_webhooks(port, secret, token, inbox):
    """Take each letter when Postmottak posts it, for ever; only then answer that it is taken."""

    class Receiver(BaseHTTPRequestHandler):
        timeout = 60  # seconds for which a caller may say nothing

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            genuine = is_genuine(secret, self.headers, body)
            self.send_response(take_event(json.loads(body), token, inbox) if genuine else 401)
            self.end_headers()

    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()


def take_event(event, token, inbox):
    """Take a letter that was posted; return the status to answer with."""
    if event["type"] != "no.postmottak.letter.v1":  # an alert or a test
        return 204
    letter, links = event["data"], event["data"].pop("links")
    at = {**links["attachments"], letter["body"]["name"]: links["body"]}
    try:
        keep(inbox, letter, lambda name: call(at[name], token))
    except (OSError, ValueError) as error:
        report(letter["delivery"]["id"], error)
        return 503  # it is posted again later
    return 204


def is_genuine(secret, headers, body):
    """Whether Postmottak signed this call, within the last five minutes."""
    stamp = headers.get("webhook-timestamp", "0")
    signed = f"{headers.get('webhook-id')}.{stamp}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    fresh = abs(time.time() - int(stamp)) < 300
    return fresh and any(hmac.compare_digest(right, each) for each in given)


def text_of(file):
    """The content of a secret file."""
    return Path(file).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["drop", drop, inbox]:
            sys.exit(take_from_drop(Path(drop), Path(inbox)) > 0)
        case ["api", api, token_file, destination, inbox]:
            failed = take_from_api(api, text_of(token_file), destination, Path(inbox))
            sys.exit(failed > 0)
        case ["webhook", port, secret_file, token_file, inbox]:
            take_webhooks(int(port), text_of(secret_file), text_of(token_file), Path(inbox))
        case _:
            sys.exit(__doc__)
