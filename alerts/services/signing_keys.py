"""The public keys of whoever signs pushes: fetched from where an administrator said, in the background, and kept.

No request ever waits for the network: where a key is not here yet, the push is to be sent again. However many unknown
keys are named, the signer is asked at most once a minute by each process.
"""

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit
from urllib.request import Request

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings

from alerts.notifications import egress

logger = logging.getLogger(__name__)

ALGORITHM = "RS256"
TIMEOUT = 5  # seconds, for each step of an exchange
PAUSE = 60  # seconds between two fetches, whatever came of the first
FRESH = 3600  # seconds after which keys are fetched anew, so that one which was withdrawn is forgotten
USABLE = 24 * 3600  # seconds for which keys are used where they cannot be fetched anew
_BITS = 2048


class Unavailable(Exception):
    """The signer's keys are not here now, so that nothing can be said of a push; it is to be sent again."""


class _Unusable(Exception):
    """What was fetched holds no keys; the text says why."""


class Keyring:
    """The keys that the signer at HOOK_JWKS_URL publishes, by their names (kid)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self.fetching: threading.Thread | None = None

    def find(self, name: str) -> jwt.PyJWK | None:
        """Return the key of that name; None where the signer was asked just now, and publishes none.

        Raises Unavailable.
        """
        with self._lock:
            now = self._clock()
            age = None if self._fetched is None else now - self._fetched
            key = self._keys.get(name)
            if (key is None or age is None or age > FRESH) and (self._tried is None or now - self._tried >= PAUSE):
                self._start(now)
            if age is None or age > USABLE:
                raise Unavailable("the keys of HOOK_JWKS_URL are not here yet.")
            if key is None and self._fetched != self._tried:
                raise Unavailable("it names a key that is not here yet.")
            return key

    def _start(self, now: float) -> None:
        self._tried = now
        self.fetching = threading.Thread(target=self._fetch, args=(now,), name="signing-keys", daemon=True)
        self.fetching.start()

    def _fetch(self, now: float) -> None:
        try:
            keys = _published()
        except (_Unusable, egress.NotAllowed, OSError, http.client.HTTPException, ValueError) as error:
            logger.warning("The keys of HOOK_JWKS_URL could not be had: %s", error)
            return
        with self._lock:
            self._keys, self._fetched = keys, now


_keyring = Keyring()


def find(name: str) -> jwt.PyJWK | None:
    """Return the signer's key of that name; None where it publishes none.

    Raises Unavailable.
    """
    return _keyring.find(name)


def _published() -> dict[str, jwt.PyJWK]:
    """Ask the signer for its keys (RFC 7517), and return those that can have made an RS256 signature.

    Raises _Unusable; NotAllowed, OSError and HTTPException as alerts.notifications.egress does; ValueError for no URL.
    """
    url = settings.HOOK_JWKS_URL
    # The address is the operator's own setting: its host is listed by being written there.
    destination = egress.Destination.of(url, allowed=[urlsplit(url).netloc])
    answer = egress.exchange(Request(url), destination, timeout=TIMEOUT)  # noqa: S310  the destination was checked
    if answer.status != 200:
        raise _Unusable(f"it answered with HTTP {answer.status}.")
    try:
        published = jwt.PyJWKSet.from_dict(json.loads(answer.body))
    # The library takes it for granted that the document is an object whose fields are of the right type.
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise _Unusable("it answered with something that is no set of keys.") from None
    keys = {key.key_id: key for key in published.keys if key.key_id and _fits(key)}
    if not keys:
        raise _Unusable(f"it publishes no RSA key for {ALGORITHM}.")
    return keys


def _fits(key: jwt.PyJWK) -> bool:
    """Tell whether it is a public RSA key, for signatures and long enough; a shared secret, for instance, is not."""
    return (
        isinstance(key.key, RSAPublicKey)
        and key.algorithm_name == ALGORITHM
        and key.public_key_use in {None, "sig"}
        and key.key.key_size >= _BITS
    )
