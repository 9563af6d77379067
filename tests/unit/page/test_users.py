"""Users of the page: their rights, their limits, and what ends when they are shut out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.core.accounts import UserSource
from daemon.core.errors import NotFound, OperatorError
from daemon.core.rights import Right
from daemon.store import Actor, RoleGrant, Store
from tests.unit.conftest import NOW, PARTY

pytestmark = pytest.mark.both_databases

BY = Actor(name="kari", address="10.0.0.1")
LATER = NOW + timedelta(minutes=10)


def test_a_user_is_found_by_its_name_in_any_case(store: Store) -> None:
    """Names are stored in lower case and composed, so one person is one user however it is
    typed."""
    store.users.add(" Bjørn.Å@Example.NO ", NOW, BY, source=UserSource.OIDC, language="nn")
    found = store.users.find("BJØRN.A\u030a@example.no")
    assert found
    assert (found.name, found.source, found.language, found.password_hash) == (
        "bjørn.å@example.no",
        UserSource.OIDC,
        "nn",
        None,
    )
    assert [each.name for each in store.users.all()] == ["bjørn.å@example.no"]
    typed = "BJØRN.A\u030a@example.no"
    token = store.sessions.begin(typed, "", NOW)
    assert store.sessions.find(token, NOW) == found.name
    assert len(store.sessions.of(typed, NOW)) == store.sessions.end_all(typed) == 1
    assert store.login_links.take(store.login_links.create(typed, NOW, BY), NOW) == found.name
    with pytest.raises(OperatorError, match="already"):
        store.users.add("Bjørn.å@example.no", NOW, BY)


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "a/b", "a\nb", "<b>", "x" * 101])
def test_a_name_that_would_puzzle_is_refused(store: Store, name: str) -> None:
    """What cannot be typed at log-in, or would confuse in a list, is no user name."""
    with pytest.raises(OperatorError, match="is not a valid user name"):
        store.users.add(name, NOW, BY)
    assert store.users.all() == []


def test_rights_are_those_of_the_roles_within_their_limits(store: Store) -> None:
    """Each role counts for its own recipients and organisations only, and none brings
    confidential letters."""
    grants = [
        RoleGrant(role="receiver", recipients=("regnskap",), parties=(PARTY,)),
        RoleGrant(role="reader", recipients=("post",)),
        RoleGrant(role="confidential", recipients=("regnskap",)),
        RoleGrant(role="of a later version"),
    ]
    store.users.add("anna", NOW, BY, grants=grants)
    access = store.users.access("anna")
    assert access
    assert store.users.grants("anna") == grants
    assert access.may_with(Right.RECEIVE, PARTY, ["regnskap", "x"])
    assert not access.may_with(Right.RECEIVE, PARTY, ["post"])
    assert not access.may_with(Right.RECEIVE, "974761076", ["regnskap"])
    assert access.may_with(Right.OPEN, "974761076", ["post"])
    assert access.may_with(Right.CONFIDENTIAL, PARTY, ["regnskap"])
    assert not access.may_with(Right.CONFIDENTIAL, PARTY, ["post"])
    assert not access.may(Right.ADMINISTER)


def test_every_role_but_the_right_leaves_confidential_letters_closed(store: Store) -> None:
    """A user with all roles may not open a confidential letter."""
    roles = ("reader", "receiver", "router", "operator", "admin")
    store.users.add("anna", NOW, BY, grants=[RoleGrant(role=each) for each in roles])
    access = store.users.access("anna")
    assert access
    assert {each for each in Right if not access.may(each)} == {Right.CONFIDENTIAL}


def test_a_disabled_user_is_out_at_once(store: Store) -> None:
    """With the user, its sessions, links and rights end, and they do not come back with it."""
    for name in ("anna", "ola"):
        store.users.add(name, NOW, BY, grants=[RoleGrant(role="reader")])
    token, others = store.sessions.begin("anna", "", NOW), store.sessions.begin("ola", "", NOW)
    link = store.login_links.create("anna", NOW, BY)
    assert store.sessions.find(token, NOW) == "anna"
    assert store.users.disable("Anna", NOW, BY)
    assert store.sessions.find(token, NOW) is None
    assert store.sessions.find(others, NOW) == "ola"
    assert store.users.access("anna") is None
    assert not store.users.disable("anna", LATER, BY)
    with pytest.raises(NotFound, match="is disabled"):
        store.sessions.begin("anna", "", NOW)
    with pytest.raises(NotFound, match="is disabled"):
        store.login_links.create("anna", NOW, BY)
    assert store.users.enable("anna", NOW, BY)
    assert not store.users.enable("anna", NOW, BY)
    assert store.sessions.find(token, NOW) is None
    assert store.login_links.take(link, NOW) is None
    assert store.users.access("anna")


def test_what_changes_a_log_in_ends_the_sessions(store: Store) -> None:
    """A new password and other rights end sessions and links; rights that stay as they are do
    not."""
    reader = [RoleGrant(role="reader", recipients=("post",))]
    store.users.add("anna", NOW, BY, grants=reader, password_hash="old")
    token = store.sessions.begin("anna", "", NOW)
    assert not store.users.grant("anna", reader, NOW, BY)
    assert store.sessions.find(token, NOW) == "anna"
    assert store.users.grant("anna", [*reader, RoleGrant(role="admin")], NOW, BY)
    assert store.sessions.find(token, NOW) is None
    token = store.sessions.begin("anna", "", NOW)
    link = store.login_links.create("anna", NOW, BY)
    store.users.set_password_hash("anna", "new", NOW, BY)
    assert store.sessions.find(token, NOW) is None
    assert store.login_links.take(link, NOW) is None
    assert store.users.get("anna").password_hash == "new"


def test_every_change_of_a_user_is_an_event(store: Store) -> None:
    """The log says who did what to whom and from where, and has no password, hash or token."""
    store.users.add(
        "anna", NOW, BY, grants=[RoleGrant(role="reader", parties=(PARTY,))], password_hash="$hash"
    )
    token = store.sessions.begin("anna", "", NOW)
    store.users.grant("anna", [RoleGrant(role="admin")], NOW, BY)
    store.users.set_password_hash("anna", "$hash2", NOW, BY)
    link = store.login_links.create("anna", NOW, BY)
    store.users.disable("anna", NOW, BY)
    store.users.enable("anna", NOW, BY)
    events = store.events.page()
    assert [each.kind for each in reversed(events)] == [
        "user-added",
        "rights-set",
        "password-set",
        "login-link-made",
        "user-disabled",
        "user-enabled",
    ]
    assert {(each.user, each.address, each.about, each.done) for each in events} == {
        ("kari", "10.0.0.1", "anna", True)
    }
    assert events[-2].details == {
        "grants": [{"role": "admin", "recipients": [], "parties": []}],
        "before": [{"role": "reader", "recipients": [], "parties": [PARTY]}],
        "sessions": 1,
    }
    text = str([each.model_dump(exclude={"hash", "previous"}) for each in events])
    assert not any(secret in text for secret in ("$hash", token, link))
    assert store.events.verify() is None


def test_a_change_that_fails_leaves_nothing(store: Store) -> None:
    """A user whose rights cannot be stored is not added, and no event says that it was."""
    with pytest.raises(Exception, match="rejected"):
        store.users.add("anna", NOW, BY, grants=[RoleGrant(role="\ud800")])
    assert store.users.find("anna") is None
    assert store.events.page() == []


def test_an_unknown_user_is_named_with_the_closest(store: Store) -> None:
    """A name that was mistyped is reported with the one that was probably meant."""
    store.users.add("anna", NOW, BY)
    for change in (
        lambda: store.users.disable("ana", NOW, BY),
        lambda: store.users.set_password_hash("ana", None, NOW, BY),
        lambda: store.users.grant("ana", [], NOW, BY),
    ):
        with pytest.raises(NotFound, match="the user 'ana' does not exist; did you mean 'anna'"):
            change()
