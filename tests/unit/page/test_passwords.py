"""Passwords: which are refused, and that a guess learns nothing from the time it takes."""

from __future__ import annotations

import sys
import threading
import time
from statistics import median

import pytest

from daemon.core.errors import OperatorError
from daemon.page.guard.passwords import LONGEST, Passwords, refusal

GOOD = "grønn hest under bru"


@pytest.fixture(name="passwords", scope="module")
def the_passwords() -> Passwords:
    """The hasher of a process."""
    return Passwords()


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "too short"),
        ("elleve tegn", "too short"),
        ("å" * 4 + "\u0061\u030a" * 4, "too short"),
        ("x" * (LONGEST + 1), "too long"),
        ("abababababab", "different characters"),
        ("aaaaaaaaaaaa", "different characters"),
        ("hesten til Kari.Nordmann", "user's name"),
        ("KARI.NORDMANN", "user's name"),
        ("Sommer2026!!!", "easy to guess"),
        ("P@ssw0rd1234", "easy to guess"),
        ("PassordPassord", "easy to guess"),
        ("velkommen2026!", "easy to guess"),
        ("qwertyuiop123", "easy to guess"),
        ("abcdefghijkl", "easy to guess"),
        ("123456789012", "easy to guess"),
        ("11/24/2026 08:30", "easy to guess"),
        ("Postmottak#2026", "easy to guess"),
    ],
)
def test_a_password_that_is_soon_guessed_is_refused(password: str, reason: str) -> None:
    """Short ones, the user's name, and what people put together to have one are refused."""
    found = refusal(password, "Kari.Nordmann@example.no")
    assert found
    assert reason in found


@pytest.mark.parametrize(
    "password", [GOOD, "elleve tegn.", "passord er hemmelige ting", "x7Kd92mQpL4z", "sommerfuglene"]
)
def test_another_password_is_accepted(password: str) -> None:
    """There are no rules about kinds of characters, and a common word among others is fine."""
    assert refusal(password, "kari") is None
    assert refusal(password, password[:3]) is None


def test_only_the_password_itself_is_accepted(passwords: Passwords) -> None:
    """A password is accepted however a keyboard composes its letters; nothing else is, nor is
    anything for a user without one, or a hash that is damaged."""
    stored = passwords.hash(GOOD + " å", "anna")
    assert stored.startswith("$argon2id$")
    assert passwords.verify(stored, GOOD + " a\u030a")
    assert not passwords.verify(stored, GOOD)
    assert not passwords.verify(stored, "")
    assert not passwords.verify(stored, "\ud800")
    assert not passwords.verify(None, GOOD)
    assert not passwords.verify("", GOOD)
    assert not passwords.verify("rubbish", GOOD)
    assert passwords.hash(GOOD, "anna") != passwords.hash(GOOD, "anna")
    with pytest.raises(OperatorError, match="the password is too short"):
        passwords.hash("short", "anna")


def test_an_unknown_user_takes_as_long_as_a_wrong_password(passwords: Passwords) -> None:
    """The time of an answer does not say which users there are."""
    stored = passwords.hash(GOOD, "anna")
    passwords.verify(None, "wrong")  # the first one takes longer, whoever it is about

    def seconds(hashed: str | None) -> float:
        began = time.process_time()
        passwords.verify(hashed, "wrong")
        return time.process_time() - began

    known, unknown = (median(seconds(each) for _ in range(3)) for each in (stored, None))
    assert 0.5 < known / unknown < 2


def test_one_hash_at_a_time(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of attempts takes the memory and the processor of one."""
    running, most = 0, 0

    class Hasher:
        """Counts how many use it."""

        def verify(self, _stored: str, _password: bytes) -> bool:
            nonlocal running, most
            running += 1
            most = max(most, running)
            time.sleep(0.01)
            running -= 1
            return True

    monkeypatch.setattr(passwords, "_hasher", Hasher())
    threads = [threading.Thread(target=passwords.verify, args=["x", "y"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where argon2-cffi is not installed, a plain message says what to install."""
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(OperatorError, match=r"pip install 'postmottak\[web\]'"):
        Passwords()
