"""Log-in is the default on every page; a page that htmx asks for after the session ended leads back to the log-in."""

from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect


class LoginRequired(LoginRequiredMiddleware):
    """Sends people who are not logged in to the log-in page, and back to where they were."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponseBase:
        """Redirect; for htmx by its header, since a redirect would land inside the page."""
        htmx = getattr(request, "htmx", None)
        if htmx:
            here = htmx.current_url_abs_path or reverse("alerts:queue")
            return HttpResponseClientRedirect(f"{reverse('alerts:login')}?{urlencode({'next': here})}")
        return super().handle_no_permission(request, view_func)
