"""Log-in is the default on every page; a page that htmx asks for after the session ended leads back to the log-in."""

from http import HTTPStatus
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse


class LoginRequired(LoginRequiredMiddleware):
    """Sends people who are not logged in to the log-in page, and back to where they were."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponseRedirect:
        """Redirect; for htmx by its header, since a redirect would land inside the page."""
        htmx = getattr(request, "htmx", None)
        if htmx:
            here = htmx.current_url_abs_path or reverse("alerts:queue")
            response = redirect_to_login(here, self.get_login_url(view_func))
            response["HX-Redirect"] = response.url
            del response["Location"]
            response.status_code = HTTPStatus.OK
            return response
        return super().handle_no_permission(request, view_func)
