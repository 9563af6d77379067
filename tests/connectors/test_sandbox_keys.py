"""The keys that the pretend Maskinporten and Altinn sign with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from connectors.sandbox.altinn3.tokens import rsa_key


def test_all_threads_have_the_same_key() -> None:
    """Requests that come at once at the start sign with one key: a token that was signed with
    another is refused, as it would be if each had made its own."""
    together = Barrier(8)

    def first_use(_: int) -> int:
        together.wait()
        return id(rsa_key("a name that nobody has used"))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first_use, range(8)))) == 1
