"""The Celery application. The broker carries wake-ups only; the database row is the truth."""

import gc
import os
import signal

from celery import Celery
from celery.signals import beat_embedded_init, worker_before_create_process

from alerts.management.bound import bind_to_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triage.settings")

app = Celery("triage")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@beat_embedded_init.connect
def end_with_the_worker(**_: object) -> None:
    """Let the schedule's process end with the worker that embeds it, as Celery does for its pool processes."""
    bind_to_parent(signal.SIGKILL)


@worker_before_create_process.connect
def settle(**_: object) -> None:
    """Have no process of the pool look through everything that was loaded before it again.

    A full collection of garbage takes 0.2 s for that alone, in which nothing else is done.
    """
    gc.freeze()
