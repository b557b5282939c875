"""Whether everything that intake needs is there, and it takes in what is posted."""

from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.utils import timezone

from alerts.services import inbox, listing

# As long as an API server goes on sending a batch again: when so much waits, something is wrong with the workers.
LONGEST_WAIT = timedelta(minutes=5)


def problems() -> list[str]:
    """Return what is missing, in words; nothing where all is well."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return ["The database's tables are of another version: manage.py migrate."]
        waiting, refusal, overdue = inbox.oldest_waiting(), inbox.refusal(), _canaries_overdue()
    except DatabaseError:
        return ["The database does not answer."]
    found = [f"{refusal} API servers are asked to come again later."] if refusal else []
    if waiting > LONGEST_WAIT:
        found.append(f"A batch has waited {waiting.total_seconds():,.0f} seconds: are the workers running?")
    if overdue:
        found.append("Canaries are overdue, and so is whatever else is done by the clock: is beat running?")
    return found


def _canaries_overdue() -> bool:
    """Tell whether a cluster that can be asked was not for so long, though one is every minute.

    Without the clock no stream is judged, so nobody would be told that one fell silent.
    """
    asked = listing.listable().filter(canary_error="").annotate(last=Max("canaries__sent_at"))
    return asked.filter(last__lt=timezone.now() - LONGEST_WAIT).exists()
