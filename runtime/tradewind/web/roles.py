"""Roles and what each may do. A role holds all that the role before it holds.

Public (people without a login, nothing unless configured) < Viewer (reads) < User (changes DAGs
and runs) < Op (sees the configuration and what else operators need) < Admin (everything).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """Something a caller may do. Routes name the one that they need."""

    READ = "read"
    """See DAGs, runs, task instances, logs, XComs, pools and code."""
    EDIT = "edit"
    """Trigger, pause, clear and cancel."""
    OPERATE = "operate"
    """See the configuration, see and change connections and variables, change pools."""
    ADMIN = "admin"
    """Manage logins."""


class Role(StrEnum):
    """The role of a login. The value is what the database holds."""

    PUBLIC = "Public"
    VIEWER = "Viewer"
    USER = "User"
    OP = "Op"
    ADMIN = "Admin"


GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    Role.PUBLIC: frozenset(),
    Role.VIEWER: frozenset({Permission.READ}),
    Role.USER: frozenset({Permission.READ, Permission.EDIT}),
    Role.OP: frozenset({Permission.READ, Permission.EDIT, Permission.OPERATE}),
    Role.ADMIN: frozenset(Permission),
}


def role_of(text: str) -> Role:
    """The role that a user row names, in any spelling of case; an unknown one gives Public."""
    for role in Role:
        if role.value.lower() == text.lower():
            return role
    return Role.PUBLIC
