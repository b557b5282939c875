"""One authenticated connection to a cluster, through the official client, with every failure said in our own words."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, ApiException, Configuration

from alerts.cluster import address as addresses
from alerts.cluster import answers
from alerts.cluster.call import Call
from alerts.cluster.errors import AddressRefused, CertificateUntrusted, ClusterError, Failed, Unanswered, Unreachable

# A page of 500 roles is some hundred kilobytes; an answer beyond this is no API server's.
ANSWER_LIMIT = 64 * 1024 * 1024
_CHUNK = 64 * 1024


class _Secret(str):
    """Text that does not show itself where frames and variables are printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class Connection:
    """Sends requests to one API server: nothing is retried, no redirect followed, no proxy used."""

    def __init__(
        self, address: str, token: str, certificate_authority: str, *, private_address_allowed: bool, timeout: float
    ) -> None:
        configuration = Configuration(host=addresses.parse(address))
        configuration.retries = False
        configuration.proxy = None
        configuration.ca_cert_data = certificate_authority or None
        configuration.verify_ssl = True
        self._address, self._timeout = configuration.host, timeout
        self._authorization = _Secret(f"Bearer {token.strip()}")
        self._client = ApiClient(configuration)
        self._client.rest_client.pool_manager.pool_classes_by_scheme = addresses.pool_classes(
            private_address_allowed=private_address_allowed
        )

    def close(self) -> None:
        """Close the sockets."""
        self._client.rest_client.pool_manager.clear()

    def send(self, call: Call) -> Any:
        """Return the JSON that answers the call.

        Raises a ClusterError, whose own text holds no secret and whose context is empty.
        """
        failure: ClusterError
        try:
            status, headers, body = self._exchange(call)
        except AddressRefused as refused:
            failure = refused.with_traceback(None)
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            failure = self._transport_failure(error)
        else:
            return answers.examine(call, status, headers, body)
        # Outside the handler, so that the client's exception, whose frames hold our headers, is not its context.
        raise failure

    def _exchange(self, call: Call) -> tuple[int, Mapping[str, str], bytes]:
        headers = {
            "Accept": "application/json",
            "Authorization": self._authorization,
            "Content-Type": call.content_type,
            "User-Agent": "rolecall",
        }
        if call.audit_id:
            headers["Audit-ID"] = call.audit_id
        deadline = time.monotonic() + self._timeout
        query = f"?{urlencode(call.query)}" if call.query else ""
        answer = self._client.call_api(
            call.method, self._address + call.path + query, headers, call.body, _request_timeout=self._timeout
        ).response
        try:
            return answer.status, answer.headers, _read(answer, deadline)
        finally:
            answer.release_conn()

    def _transport_failure(self, error: ApiException | urllib3.exceptions.HTTPError) -> ClusterError:
        where = self._address
        if isinstance(error, ApiException):  # the client's form of a TLS error
            detail = str(error.reason).rpartition("\n")[2]
            if "certificate" in detail.lower() or "hostname" in detail.lower():
                return CertificateUntrusted(
                    f"The certificate of {where} is not trusted ({detail}). Check this cluster's certificate authority."
                )
            return Unanswered(f"TLS with {where} failed ({detail}). Check that the address is the API server's.")
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            return Unreachable(f"The name in {where} does not resolve. Check the address and this host's DNS.")
        if isinstance(error, urllib3.exceptions.ConnectTimeoutError):  # NewConnectionError is one
            return Unreachable(f"Nothing answers at {where}. Check address, network and API server.")
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return Unanswered(
                f"{where} did not answer within {self._timeout:g} s. A change that was sent may have happened."
            )
        return Unanswered(f"The connection to {where} broke off. A change that was sent may have happened.")


def _read(answer: Any, deadline: float) -> bytes:
    """Return the body, read piece by piece against the limit and the deadline of the whole call."""
    body = bytearray()
    for piece in answer.stream(_CHUNK, decode_content=True):
        body += piece
        if len(body) > ANSWER_LIMIT:
            raise Failed("The answer is larger than any of an API server's. Check the address.", status=answer.status)
        if time.monotonic() > deadline:
            raise urllib3.exceptions.TimeoutError("the deadline of the call has passed")
    return bytes(body)
