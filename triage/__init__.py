"""The Django project: settings, addresses, Celery and WSGI. Wiring, nothing else."""

from triage.celery import app as celery_app

__all__ = ["celery_app"]
