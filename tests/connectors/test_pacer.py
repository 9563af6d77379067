"""One pace for each client: turns, refusals, and a budget that mailboxes and threads share."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from datetime import timedelta
from email.utils import format_datetime

import pytest

from connectors.net.http_batch import Call
from connectors.net.http_client import HttpClient
from connectors.net.http_response import HttpResponse, json_object
from connectors.net.pacer import Pacer, Pacers
from connectors.net.timeouts import Timeouts
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.server import FakeAltinn
from daemon.core.errors import MailboxUnavailable
from daemon.core.pacing import PROCESSES

URL = "https://platform.example/x"
QUICK = Timeouts(connect=2, step=2, whole=5, retry_delays=(0.001, 0.001))


class Seconds:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def pacer(clock: Seconds, rate: float = 10, burst: int = 5) -> Pacer:
    return Pacer("client", "platform.example", rate, burst, clock)


def test_turns_come_at_the_configured_rate(clock: Seconds) -> None:
    """A burst at once, then one call at each interval; other hosts are not held up."""
    paced = pacer(clock)
    waits = [paced.reserve(URL) for _ in range(8)]
    assert waits[:5] == [0] * 5
    assert waits[5:] == pytest.approx([0.1, 0.2, 0.3])
    assert paced.reserve("https://maskinporten.example/token") == 0
    clock.now += 10
    assert [paced.reserve(URL) for _ in range(5)] == [0] * 5  # no more than a burst is saved


@pytest.mark.parametrize("seed", range(5))
def test_no_window_has_more_than_its_share(clock: Seconds, seed: int) -> None:
    """In no stretch of time there are more calls than the rate and a burst allow."""
    chance, paced, times = random.Random(seed), pacer(clock), list[float]()
    for _ in range(300):
        clock.now += chance.choice((0, 0, 0.01, 0.3, 2))
        times.append(clock.now + paced.reserve(URL))
    times.sort()
    for first in range(0, 300, 7):
        for last in range(first + 1, 300, 11):
            length = times[last] - times[first]
            assert last - first + 1 <= length * 10 + 5 + 1.001


def test_a_refusal_stops_everyone_and_halves_the_pace(clock: Seconds) -> None:
    """For as long as the server says; then the pace rises again, to what is configured."""
    paced = pacer(clock)
    paced.refused(URL, 30)
    paced.refused(URL, 30)  # a call that was in flight
    assert paced.reserve(URL) >= 30
    assert (paced.numbers().rate, paced.numbers().refused) == (5, 2)
    clock.now = 30 + 61
    paced.reserve(URL)
    assert paced.numbers().rate == 6.25
    clock.now = 1000
    paced.reserve(URL)
    assert paced.numbers().rate == 10
    paced.refused("https://elsewhere.example/", 30)
    assert paced.reserve(URL) == 0


def test_a_few_refusals_slow_nobody_down(clock: Seconds) -> None:
    """Where one call in fifty is refused, for whatever reason, the others go on, but for as long as
    the server says."""
    paced = pacer(clock, rate=0)
    for number in range(500):
        clock.now += 0.01
        assert paced.reserve(URL) == 0
        if number % 50 == 49:
            paced.refused(URL, None)
    assert paced.numbers().rate == math.inf
    paced.refused(URL, 2)
    assert paced.reserve(URL) == pytest.approx(2)


def test_without_a_limit_refusals_set_one(clock: Seconds) -> None:
    """Calls wait for nothing until many are refused; then half of what was made is the pace, which
    rises until it is none any more."""
    paced = pacer(clock, rate=0)
    for _ in range(80):
        clock.now += 0.05
        assert paced.reserve(URL) == 0
    for _ in range(8):
        paced.refused(URL, 2)
    assert paced.numbers().rate == pytest.approx(10)
    assert paced.reserve(URL) >= 2
    clock.now += 3600
    assert [paced.reserve(URL) for _ in range(50)] == [0] * 50


def test_each_process_has_its_share(clock: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four processes, each makes a quarter of the calls."""
    monkeypatch.setattr(PROCESSES, "number", 4)
    paced = pacer(clock, rate=8, burst=1)
    waits = [paced.reserve(URL) for _ in range(4)]
    assert waits == pytest.approx([0, 0.5, 1, 1.5])


def test_mailboxes_of_a_client_share_a_pacer() -> None:
    """The slowest configuration counts; another client, or platform, has its own."""
    pacers = Pacers()
    shared = pacers.of("a", URL, 100)
    assert pacers.of("a", URL, 20) is shared
    assert shared.numbers().rate == 20
    assert pacers.of("b", URL, 20) is not shared
    assert pacers.of("a", "https://tt02.example/", 20) is not shared


def test_a_limit_is_kept_by_all_threads_together() -> None:
    """Two clients of one budget, single calls and a batch: the server refuses nothing, and both get
    their share."""
    with FakeAltinn() as altinn:
        altinn.rate_limit.windows = ((60, timedelta(seconds=1)),)
        shared = Pacers().of("a", altinn.platform_url, 30)
        url, done = f"{altinn.platform_url}/dialogporten/api/v1/metadata/limits", Counter[str]()
        ends = time.monotonic() + 1.5

        def alone() -> None:
            http = HttpClient(longest_pause=1, timeouts=QUICK, pacer=shared)
            while time.monotonic() < ends:
                http.get(url, {}, json_object)
                done["alone"] += 1
            http.close()

        def together() -> None:
            http = HttpClient(longest_pause=1, timeouts=QUICK, pacer=shared)
            with http.batch(8) as batch:
                for _ in range(8):
                    batch.add(Call(url=url, headers={}, parse=json_object))
                for call, outcome in batch:
                    assert isinstance(outcome, HttpResponse)
                    done["together"] += 1
                    if time.monotonic() < ends:
                        batch.add(call)
            http.close()

        threads = [threading.Thread(target=each) for each in (alone, alone, together)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert altinn.rate_limit.refused == 0
        assert 20 <= altinn.count() <= 1.7 * 30 + 10 + 3
        assert min(done["alone"], done["together"]) >= 5


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept(form: str) -> None:
    """In seconds or as a date; the call whose turn is far away is made another time, at once."""
    with FakeAltinn() as altinn:
        until = altinn.clock.now() + timedelta(seconds=120)
        header = "120" if form == "seconds" else format_datetime(until, usegmt=True)
        altinn.faults.inject(faults.status(429, retry_after=header), "dialoglimits")
        shared = Pacers().of("a", altinn.platform_url, 100)
        http = HttpClient(longest_pause=0.01, timeouts=QUICK, pacer=shared)
        url = f"{altinn.platform_url}/dialogporten/api/v1/metadata/limits"
        with pytest.raises(MailboxUnavailable):
            http.get(url, {}, json_object)
        begun = time.monotonic()
        with pytest.raises(MailboxUnavailable, match="no more calls"):
            http.get(url, {}, json_object)
        assert time.monotonic() - begun < 1
        assert altinn.count() == 1
        assert 100 < shared.reserve(url) <= 121
        http.close()
