"""The app's configuration."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from alerts.checks import sqlite_version


class AlertsConfig(AppConfig):
    """Rolecall's one app."""

    name = "alerts"

    def ready(self) -> None:
        """Register the system checks."""
        register(sqlite_version, Tags.database)
