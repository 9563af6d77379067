"""Passwords of local users: which are good enough, and how they are kept.

Hashes are argon2id with the parameters that argon2-cffi recommends. There are no rules about kinds
of characters, as NIST SP 800-63B advises, and no list of leaked passwords: `refusal` says what is
refused.
"""

from __future__ import annotations

import re
import secrets
import threading
import unicodedata
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from daemon.core.accounts import known_as
from daemon.core.errors import OperatorError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 12, 1000
"""Characters of a password."""
_DIFFERENT = 5
_NAME = 4
_COMMON = re.compile(
    r"""(?: admin | administrator | altinn | arbeid | brreg | eksempel | example | fotball
    | hemmelig | hemmeleg | iloveyou | jegelskerdeg | kommune | letmein | login | norge | norway
    | oslo | passord | passphrase | password | postkasse | postmottak | qwerty | qwertyuiopå?
    | asdfgh | asdfghjkl | zxcvbnm | secret | skatteetaten | sommar | sommer | haust | høst
    | vinter | vår | velkommen | velkomen | welcome )*""",
    re.VERBOSE,
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyzæøå"
_LOOKALIKE = str.maketrans("013457@$!", "oleastasi")


class Weakness(StrEnum):
    """Why a password is not good enough."""

    SHORT = "short"
    LONG = "long"
    UNIFORM = "uniform"
    NAME = "name"
    COMMON = "common"


_REASONS = {
    Weakness.SHORT: f"is too short; use at least {SHORTEST} characters, such as four words",
    Weakness.LONG: f"is too long; use at most {LONGEST} characters",
    Weakness.UNIFORM: f"has fewer than {_DIFFERENT} different characters; use another one",
    Weakness.NAME: "has the user's name in it; use another one",
    Weakness.COMMON: (
        "is easy to guess; use another one, such as four words that do not belong together"
    ),
}


def refusal(password: str, user: str) -> str | None:
    """Return why the password is not good enough, as the end of a sentence; None if it is."""
    found = weakness(password, user)
    return _REASONS[found] if found else None


def weakness(password: str, user: str) -> Weakness | None:
    """Return why the password is not good enough; None if it is.

    Refused are passwords of fewer than 12 characters or of fewer than 5 different ones, those that
    hold the user's name (up to an @, if it has 4 letters or more), and those that are only common
    words, alphabet or digits with digits and signs around them, such as Sommer2026!!! or
    P@ssw0rd1234.
    """
    text = _composed(password).casefold()
    name = known_as(user).partition("@")[0]
    checks = (
        (Weakness.SHORT, len(text) < SHORTEST),
        (Weakness.LONG, len(text) > LONGEST),
        (Weakness.UNIFORM, len(set(text)) < _DIFFERENT),
        (Weakness.NAME, len(name) >= _NAME and name in text),
    )
    for found, applies in checks:
        if applies:
            return found
    return Weakness.COMMON if _is_common(text) else None


def _is_common(text: str) -> bool:
    """Whether nothing but common words is left without what people put around and between them."""
    inner = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)
    letters = re.sub(r"[\W\d_]", "", inner.translate(_LOOKALIKE))
    return letters in _ALPHABET or _COMMON.fullmatch(letters) is not None


class Passwords:
    """Hashes and verifies, one at a time, because each takes some hundred milliseconds and 64 MB.

    May be used from several threads. Make one for a process.
    """

    def __init__(self) -> None:
        """Raise OperatorError if argon2-cffi is not installed."""
        self._hasher = _new_hasher()
        self._one = threading.Lock()

    def hash(self, password: str, user: str) -> str:
        """Return the hash to store. Raises OperatorError if the password is not good enough."""
        if reason := refusal(password, user):
            raise OperatorError(f"the password {reason}")
        with self._one:
            return self._hasher.hash(_bytes(password))

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of the hash.

        Takes as long for None, an unknown user or one without a password, as for a wrong one.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        with self._one:
            nobody = self._of_nobody  # made at the first call, whoever that is about
            try:
                matches = self._hasher.verify(stored or nobody, _bytes(password))
            except (VerificationError, InvalidHashError):
                return False
        return matches and stored is not None

    @cached_property
    def _of_nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())


def _composed(password: str) -> str:
    """Return the password in one form, because keyboards compose letters such as å differently."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    return _composed(password).encode(errors="surrogatepass")  # a browser may send anything


def _new_hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise OperatorError(
            "passwords need the library argon2-cffi, which is not installed; install the wheel "
            "with its extra: pip install 'postmottak[web]'"
        ) from error
    return PasswordHasher()
