"""The eleven services of Digital post til virksomheter."""

from __future__ import annotations

import pytest

from daemon.core.dpv import (
    ALL_SERVICES,
    CONFIDENTIAL_POST,
    DPV_SERVICES,
    Service,
    find_service,
    service_names,
)


def test_there_are_ten_services_and_confidential_post() -> None:
    """The table has the ten services 4255/1 to 4255/10, in order, and 5504/1 last."""
    assert [service.code for service in ALL_SERVICES] == [
        *(f"4255/{edition}" for edition in range(1, 11)),
        "5504/1",
    ]
    assert (*DPV_SERVICES, CONFIDENTIAL_POST) == ALL_SERVICES


@pytest.mark.parametrize("field", ["code", "slug", "process", "nb", "nn", "en"])
def test_nothing_names_two_services(field: str) -> None:
    """Codes, slugs, processes and names are each unique, and none is empty."""
    values = [getattr(service, field) for service in ALL_SERVICES]
    assert len(set(values)) == len(ALL_SERVICES)
    assert all(value.strip() for value in values)


@pytest.mark.parametrize("service", ALL_SERVICES, ids=lambda service: service.slug)
def test_each_service_has_its_names_and_process(service: Service) -> None:
    """A service is named in bokmål, nynorsk and English, and its slug and process can stand in file
    names and requests."""
    assert service.names == {"nb": service.nb, "nn": service.nn, "en": service.en}
    assert service.slug.isascii()
    assert service.slug == service.slug.lower()
    assert service.process.startswith("urn:no:difi:profile:arkivmelding:")
    assert service.process.endswith(":ver1.0")


def test_only_5504_is_confidential() -> None:
    """Confidential post is one service, and none of the ten."""
    assert [service.code for service in ALL_SERVICES if service.confidential] == ["5504/1"]


def test_known_and_presumed_resources_are_told_apart() -> None:
    """Two resources are known from public sources; all others say that they are guesses, and on
    what ground."""
    known = {
        resource.id: service.code
        for service in ALL_SERVICES
        for resource in service.resources
        if resource.known
    }
    assert known == {
        "eformidling-dpv-administrasjon": "4255/10",
        "eformidling-dpv-taushetsbelagt": "5504/1",
    }
    resources = [resource for service in ALL_SERVICES for resource in service.resources]
    assert len({resource.id for resource in resources}) == len(resources)
    assert all(resource.source for resource in resources)
    assert all(
        any(not resource.known for resource in service.resources) for service in ALL_SERVICES
    )


@pytest.mark.parametrize("service", ALL_SERVICES, ids=lambda service: service.slug)
def test_a_service_is_found_by_code_and_slug(service: Service) -> None:
    """Configuration may name a service by its code or its slug."""
    assert find_service(service.code) is find_service(service.slug) is service


@pytest.mark.parametrize(
    "name", ["", "4255", "4255/0", "4255/11", "4255/08", "Skatter og avgifter", "4255/8 "]
)
def test_other_names_find_nothing(name: str) -> None:
    """Nothing but the exact code or slug names a service."""
    assert find_service(name) is None


def test_every_name_is_listed() -> None:
    """The names that a near miss is looked for in are all codes and slugs."""
    assert set(service_names()) == {
        name for service in ALL_SERVICES for name in (service.code, service.slug)
    }
