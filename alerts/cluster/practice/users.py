"""Who calls the practice cluster."""

import hmac
import secrets
from dataclasses import dataclass, field

from alerts.cluster.kinds import Manifest, ObjectReference
from alerts.cluster.practice import status
from alerts.cluster.practice.store import Store

_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class User:
    """Somebody as an authenticator sees them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)

    def manifest(self) -> Manifest:
        """Return the user as audit events and reviews hold it."""
        parts = {"username": self.name, "uid": self.uid, "groups": list(self.groups), "extra": self.extra}
        return {key: value for key, value in parts.items() if value}


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def service_account(namespace: str, name: str, uid: str = "") -> User:
    """Return the user that a service account is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


class Tokens:
    """Bearer tokens and whose they are. A service account's token dies with the account."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._users: dict[str, User] = {}
        self._accounts: dict[str, tuple[ObjectReference, str]] = {}

    def issue(self, user: User, token: str = "") -> str:
        """Return a token for a user: the one given, or a new one."""
        token = token or secrets.token_urlsafe(32)
        self._users[token] = User(user.name, (*user.groups, _AUTHENTICATED), user.uid or user.name)
        return token

    def issue_for_account(self, account: Manifest, token: str = "") -> str:
        """Return a token for a service account."""
        token = token or secrets.token_urlsafe(32)
        self._accounts[token] = (ObjectReference.of(account), account["metadata"]["uid"])
        return token

    def authenticate(self, authorization: str) -> User:
        """Return whose the Authorization header is.

        Raises Refusal (401) for a token that is not known or not valid any more.
        """
        if not authorization:
            return ANONYMOUS
        scheme, _, given = authorization.partition(" ")
        for token, user in self._users.items():
            if scheme == "Bearer" and hmac.compare_digest(token.encode(), given.encode()):
                return user
        for token, (reference, uid) in self._accounts.items():
            account = self._store.find(reference)
            if hmac.compare_digest(token.encode(), given.encode()) and account and account["metadata"]["uid"] == uid:
                return service_account(reference.namespace, reference.name, uid)
        raise status.unauthorized()
