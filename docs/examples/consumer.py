"""Take letters from Postmottak into a folder: from a drop, from the API, or by webhook.

    python3 consumer.py drop DROP INBOX
    python3 consumer.py api http://127.0.0.1:8765/api/v1 TOKEN_FILE DESTINATION INBOX
    python3 consumer.py webhook PORT SECRET_FILE TOKEN_FILE INBOX

Each way is some 20 lines; what they share stands first. `drop` takes letters in the layout folder,
and `webhook` those with `payload = "with-links"`. Every letter becomes a folder in INBOX, named by
its delivery, whole or not at all; running it again does no harm. It needs Python 3.10 or later and
nothing else. Copy what you need.
"""

import base64
import hashlib
import hmac
import json
import shutil
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlencode


def keep(inbox, letter, read):
    """Keep a letter with its text and its files, unless it is kept already (a repeat)."""
    name = letter["delivery"]["id"]
    unfinished = inbox / f".{name}"
    if (inbox / name).exists():
        return
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for file in [letter["body"], *letter["files"]]:
        if file["sha256"] and not file["deleted_at"]:  # others are not here
            data = read(file["name"])
            if hashlib.sha256(data).hexdigest() != file["sha256"]:
                raise ValueError(f"{file['name']} is damaged")
            (unfinished / file["name"]).write_bytes(data)
    (unfinished / "message.json").write_text(json.dumps(letter), encoding="utf-8")
    unfinished.rename(inbox / name)


def call(address, token, data=None):
    """Call the API: with data a POST, otherwise a GET."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def take_from_drop(drop, inbox):
    """Take every letter that lies in a drop; its folder is complete when it is there."""
    for folder in sorted(drop.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        letter = json.loads((folder / "message.json").read_bytes())
        try:
            keep(inbox, letter, lambda name, folder=folder: (folder / name).read_bytes())
        except ValueError as error:  # it stays where it is, and the operator sees why
            answer = drop / f".{folder.name}.err"
            answer.write_text(f"permanent\n{error}\n", encoding="utf-8")
            answer.rename(drop / f"{folder.name}.err")
        else:
            shutil.rmtree(folder)  # which says that the letter is taken


def take_from_api(api, token, destination, inbox):
    """Fetch every letter that waits at a destination, and acknowledge it."""
    cursor = ""
    while cursor is not None:
        query = urlencode({"destination": destination, "cursor": cursor})
        page = json.loads(call(f"{api}/deliveries?{query}", token))
        for letter in page["letters"]:
            address = {letter["body"]["name"]: f"{api}/messages/{letter['id']}/body"}
            for file in letter["files"]:
                where = f"{api}/messages/{letter['id']}/attachments/{file['name']}"
                address[file["name"]] = where
            answer = f"{api}/deliveries/{letter['delivery']['id']}"
            try:
                keep(inbox, letter, lambda name, at=address: call(at[name], token))
            except ValueError as error:
                call(f"{answer}/reject", token, json.dumps({"reason": str(error)}).encode())
            else:
                call(f"{answer}/ack", token, b"")
        cursor = page["next_cursor"]


def take_webhooks(port, secret, token, inbox):
    """Take each letter when Postmottak posts it, for ever; only then answer that it is taken."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            genuine = is_genuine(secret, self.headers, body)
            event = json.loads(body) if genuine else {"type": None}
            if event["type"] == "no.postmottak.letter.v1":  # others are alerts and tests
                letter, links = event["data"], event["data"].pop("links")
                at = {**links["attachments"], letter["body"]["name"]: links["body"]}
                keep(inbox, letter, lambda name: call(at[name], token))
            self.send_response(204 if genuine else 401)
            self.end_headers()

    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()


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
            take_from_drop(Path(drop), Path(inbox))
        case ["api", api, token_file, destination, inbox]:
            take_from_api(api, text_of(token_file), destination, Path(inbox))
        case ["webhook", port, secret_file, token_file, inbox]:
            take_webhooks(int(port), text_of(secret_file), text_of(token_file), Path(inbox))
        case _:
            sys.exit(__doc__)
