"""The app's configuration."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Rolecall's one app."""

    name = "alerts"
