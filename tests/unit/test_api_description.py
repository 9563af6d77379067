"""The pull API's description: valid, as the code is, and as the running API answers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jsonschema
import openapi_spec_validator
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.routing import Route

from benchmarks.loopback import free_port
from daemon.config.listen import Address
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.web.api import Api
from daemon.web.limits import Limits
from daemon.web.server import WebServer
from daemon.web.tokens import TokenGuard
from tests.unit.conftest import NOW, ROOT, stored_letter
from tests.unit.test_api import ask
from tests.unit.test_api_letters import change

FILE = ROOT / "docs/openapi.json"
DESCRIPTION: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method, path, operation)
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
}
TOKEN = "a token of some length"
_EXAMPLES = 25
_REFUSED_AT_TIMES = {"listDeliveries", "getAttachment"}
"""What takes a cursor or a range, of which no schema says which are good."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """An API that listens, and the ids of what it has."""

    url: str
    messages: list[str]
    """Those at one destination, which need not be named."""
    deliveries: list[str]


def _api(store: Store, content: ContentFolder) -> Api:
    return Api(
        store=store,
        content=content,
        tokens=TokenGuard(TOKEN),
        clock=lambda: NOW,
        destinations=lambda: ["erp", "post"],
    )


@pytest.fixture
def running(store: Store, content: ContentFolder) -> Iterator[Running]:
    """The API on loopback, with letters at one destination and at two."""
    kept = content.put([b"pdf"])
    letters = [stored_letter("a"), stored_letter("b", ("erp", "post")), stored_letter("c")]
    assert {each.sha256 for letter in letters for each in letter.attachments} == {kept.sha256}
    store.letters.add(letters)
    change(store, "UPDATE deliveries SET state = 'delivered' WHERE destination = 'erp'")
    port = free_port()
    address = Address(host="127.0.0.1", port=port)
    server = WebServer("the pull API", _api(store, content).application(), address, limits=Limits())
    stopping = threading.Event()
    thread = threading.Thread(target=server.loop, args=(stopping, lambda: None))
    thread.start()
    try:
        yield Running(
            url=_answering(f"http://127.0.0.1:{port}/api/v1"),
            messages=[str(each.message.id) for each in letters if len(each.deliveries) == 1],
            deliveries=[str(each.id) for letter in letters for each in letter.deliveries],
        )
    finally:
        stopping.set()
        server.stop()
        thread.join(10)


def _answering(url: str) -> str:
    """Return the address once somebody listens there."""
    for _ in range(200):
        try:
            httpx.get(f"{url}/openapi.json")
        except httpx.TransportError:
            threading.Event().wait(0.02)
        else:
            return url
    pytest.fail("the API does not answer")


def test_it_is_valid() -> None:
    """The description is a valid OpenAPI 3.1 document."""
    assert DESCRIPTION["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(DESCRIPTION, cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def test_it_has_the_addresses_of_the_code(store: Store, content: ContentFolder) -> None:
    """Every route of the code is described, with its methods, and nothing else is."""
    (server,) = DESCRIPTION["servers"]
    described = {
        (method.upper(), f"{server['url']}{path}") for method, path, _ in OPERATIONS.values()
    }
    routes = {
        (method, route.path)
        for route in _api(store, content).application().routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert described == routes


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_has_the_parameters_of_the_code(name: str, store: Store, content: ContentFolder) -> None:
    """The parameters of an address are those that the code takes, by its own words."""
    method, path, operation = OPERATIONS[name]
    letter = stored_letter("a")
    address = path.replace("{id}", str(letter.message.id)).replace("{which}", "1")
    refused = ask(store, content, method.upper(), address, params={"none": "1"})
    assert refused.status_code == 400
    detail = refused.json()["detail"]
    taken = set(re.findall(r"\w+", detail.partition("one of: ")[2]))
    described = operation.get("parameters", [])
    assert {each["name"] for each in described if each["in"] == "query"} == taken


def test_its_letter_is_the_one_of_the_schema() -> None:
    """The letter is described as docs/message.schema.json does, its parts as components."""
    text = (ROOT / "docs/message.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text.replace("#/$defs/", "#/components/schemas/"))
    parts = schema.pop("$defs")
    assert {name: SCHEMAS[name] for name in parts} == parts
    assert SCHEMAS["Letter"] == {
        name: value for name, value in schema.items() if not name.startswith("$")
    } | {"examples": SCHEMAS["Letter"]["examples"]}


def _examples(value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield every example, with the schema that it is one of."""
    if isinstance(value, dict):
        if "schema" in value and "example" in value:
            yield value["schema"], value["example"]
        for example in value.get("examples", {}) if "schema" in value else ():
            yield value["schema"], value["examples"][example]["value"]
        for each in value.values():
            yield from _examples(each)
    if isinstance(value, list):
        for each in value:
            yield from _examples(each)


def test_its_examples_are_valid() -> None:
    """Every example is valid by its schema, and every error and every JSON answer has one."""
    letter = {"$ref": "#/components/schemas/Letter"}
    found = [*_examples(DESCRIPTION), *((letter, each) for each in SCHEMAS["Letter"]["examples"])]
    assert len(found) > 15
    for schema, example in found:
        whole = schema | {"components": DESCRIPTION["components"]}
        jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(
            example
        )


def test_it_is_served_without_a_token(running: Running) -> None:
    """The API serves the file itself, to anybody; everything else needs the token."""
    found = httpx.get(f"{running.url}/openapi.json")
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.content == FILE.read_bytes()
    for name, (method, path, _) in OPERATIONS.items():
        closed = httpx.request(method, f"{running.url}{path}").status_code in {401, 429}
        assert closed is (name != "getDescription"), name


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_answers_as_described(name: str, running: Running) -> None:
    """Whatever a client sends, valid or not, the answer has a status, headers, a type and a body
    that are described."""
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    method, path, _ = OPERATIONS[name]
    operation = schema[path][method]
    unfit = [ignored_auth]  # it does not expect 429 after many wrong tokens
    if name in _REFUSED_AT_TIMES:
        unfit.append(positive_data_acceptance)
    ids = running.deliveries if "/deliveries/" in operation.path else running.messages

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.sampled_from(ids), place=st.booleans())
    def answers(case: schemathesis.Case[Any], known: str, *, place: bool) -> None:
        if place and "id" in case.path_parameters:
            case.path_parameters["id"] = known
        if place and "which" in case.path_parameters:
            case.path_parameters["which"] = "1"
        case.call_and_validate(
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=unfit,
        )

    answers()
