"""Lets in a user whom the OpenID Connect provider names, and renews what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from daemon.core.accounts import CONFIDENTIAL, User, UserSource, user_name
from daemon.core.errors import OperatorError
from daemon.core.rights import Role
from daemon.page.guard.oidc import LoginRefused, ProvenIdentity
from daemon.store.users import Actor, RoleGrant, Users


def admitted(users: Users, identity: ProvenIdentity, now: datetime, address: str) -> str:
    """Return the stored name of the user, whose roles are now those that the provider names.

    A user is added at the first log-in that brings a role. One that was added here, without a
    password, keeps the rights that were given here. Raises LoginRefused, and StoreError.
    """
    try:
        name = user_name(identity.name)
    except OperatorError as error:
        raise LoginRefused(str(error)) from error
    by = Actor(name=name, address=address)
    user = users.find(name) or _added(users, name, identity.roles, now, by)
    if user.disabled_at is not None:
        raise LoginRefused("the user is disabled")
    if user.source is UserSource.OIDC:
        users.grant(name, renewed(users.grants(name), identity.roles), now, by)
        if not identity.roles:
            raise LoginRefused("the provider names no role that [web.oidc] roles has")
    elif user.password_hash is not None:
        raise LoginRefused("there is a user of this name with a password here")
    return name


def renewed(before: Sequence[RoleGrant], roles: Sequence[Role]) -> list[RoleGrant]:
    """Return the roles, those that there were with their limits, and `confidential` if given."""
    kept = [each for each in before if each.role == CONFIDENTIAL or each.role in set(roles)]
    known = {each.role for each in kept}
    return [*kept, *(RoleGrant(role=each.value) for each in roles if each not in known)]


def _added(users: Users, name: str, roles: Sequence[Role], now: datetime, by: Actor) -> User:
    if not roles:
        raise LoginRefused("the provider names no role that [web.oidc] roles has")
    grants = [RoleGrant(role=each.value) for each in roles]
    try:
        return users.add(name, now, by, grants=grants, source=UserSource.OIDC)
    except OperatorError:  # two browsers logged in for the first time at one moment
        return users.get(name)
