"""Pushes that carry no token of ours, but one signed for the account that pushes: OpenID Connect, as Pub/Sub does it.

Google signs a JWT for each push: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions.
"""

import logging
from typing import Any

import jwt
from django.conf import settings
from django.urls import reverse

from alerts.models import Cluster
from alerts.services import signing_keys

logger = logging.getLogger(__name__)

_LONGEST = 8192  # characters; Google's have about 1000
_LEEWAY = 30  # seconds that clocks may differ


class _Refused(Exception):
    """A token that proves nothing; the text says why, and holds nothing that nobody signed."""


def audience(cluster: Cluster) -> str:
    """Return whom a push to this cluster's hook must be signed for."""
    return f"{settings.PUBLIC_URL}{reverse('alerts:hook', args=[cluster.name])}"


def accepts(cluster: Cluster, token: str) -> bool:
    """Tell whether the token was signed for a push to this cluster by the account that may push; the log says why not.

    Never without HOOK_JWKS_URL and the cluster's push_account. Raises Unavailable of alerts.services.signing_keys.
    """
    if not settings.HOOK_JWKS_URL or not cluster.push_account:
        return False
    try:
        _check(_claims(cluster, token), cluster)
    except _Refused as reason:
        logger.warning("The hook of cluster %s refused a token: %s.", cluster.name, reason)
        return False
    return True


def _check(claims: dict[str, Any], cluster: Cluster) -> None:
    if claims.get("email_verified") is not True:
        raise _Refused("the mail address in it is not verified")
    if claims.get("email") != cluster.push_account:
        raise _Refused(f"it is signed for {claims.get('email')}, and {cluster.push_account} may push")


def _claims(cluster: Cluster, token: str) -> dict[str, Any]:
    """Return what a token says whose signature, audience, issuer and times are right.

    Raises _Refused, and Unavailable.
    """
    if len(token) > _LONGEST or not token.isascii():
        raise _Refused("it is too long to be a JWT" if len(token) > _LONGEST else "it is not a JWT")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _Refused("it is not a JWT") from None
    name = header.get("kid")
    if header.get("alg") != signing_keys.ALGORITHM or not isinstance(name, str):
        raise _Refused(f"it is not signed by a named {signing_keys.ALGORITHM} key")
    key = signing_keys.find(name)
    if key is None:
        raise _Refused("HOOK_JWKS_URL holds no key of the name in it")
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[signing_keys.ALGORITHM],
            audience=audience(cluster),
            issuer=settings.HOOK_ISSUER,
            leeway=_LEEWAY,
            options={"require": ["aud", "exp", "iat", "iss"], "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise _Refused(_REASONS.get(type(error), "it is not a JWT of this kind")) from None


_REASONS = {
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.InvalidAudienceError: "it is for another audience than PUBLIC_URL with the path of the hook",
    jwt.InvalidIssuerError: "HOOK_ISSUER did not issue it",
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet: compare the clocks",
    jwt.MissingRequiredClaimError: "it does not say aud, exp, iat and iss",
}
