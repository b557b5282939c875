"""When the password was last given in this session.

What cannot be taken back asks for a recent log-in: who finds a screen unlocked must not be able to revoke.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import authenticate, logout
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from alerts.views.request import Request

_PROVED_AT, _FAILED = "password_proved_at", "password_failed"
_TRIES = 5


class LogIn(LoginView):
    """The log-in page, which notes in the session when the password was given."""

    template_name = "alerts/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Log in, and note the time."""
        response = super().form_valid(form)
        _note(self.request)
        return response


class PasswordRefused(Exception):
    """The password is needed and was not given, or was wrong; the text is the sentence people see."""


def proved_recently(request: HttpRequest) -> bool:
    """Tell whether the password was given in this session within the last REVOKE_LOGIN_MINUTES; 0 asks for none."""
    within = timedelta(minutes=settings.REVOKE_LOGIN_MINUTES)
    at = request.session.get(_PROVED_AT)
    return not within or (at is not None and timezone.now() - datetime.fromisoformat(at) < within)


def prove(request: Request, password: str) -> None:
    """Accept the password in place of a recent log-in; after some wrong ones in a row the session ends.

    Raises PasswordRefused.
    """
    if proved_recently(request):
        return
    if not request.user.has_usable_password():
        raise PasswordRefused("Your log-in is a while ago: log out and in again to go on. Nothing was done.")
    if not password:
        raise PasswordRefused("Your log-in is a while ago: enter your password to go on. Nothing was done.")
    user = authenticate(request, username=request.user.get_username(), password=password)
    if user is not None and user.pk == request.user.pk:
        _note(request)
        return
    request.session[_FAILED] = request.session.get(_FAILED, 0) + 1
    if request.session[_FAILED] >= _TRIES:
        logout(request)
    raise PasswordRefused("That is not your password. Nothing was done.")


def _note(request: HttpRequest) -> None:
    request.session[_PROVED_AT] = timezone.now().isoformat()
    request.session.pop(_FAILED, None)
