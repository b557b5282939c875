"""Under which names we answer: people and API servers by those of ALLOWED_HOSTS, monitors by any."""

from typing import override

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

# A kubelet and Prometheus ask for the address of a pod, which nobody knows before. These answers make no use of it.
_MONITORED = frozenset({"/healthz", "/readyz", "/metrics"})


class KnownHosts(CommonMiddleware):
    """Refuses requests for names that are not ours, but for what monitors ask."""

    @override
    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Let the request on; raise DisallowedHost where its name is not ours and matters."""
        return None if request.path_info in _MONITORED else super().process_request(request)
