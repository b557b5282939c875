"""Whether everything that intake needs is there, and it takes in what is posted."""

from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from alerts.services import inbox

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
        waiting, refusal = inbox.oldest_waiting(), inbox.refusal()
    except DatabaseError:
        return ["The database does not answer."]
    found = [f"{refusal} API servers are asked to come again later."] if refusal else []
    if waiting > LONGEST_WAIT:
        found.append(f"A batch has waited {waiting.total_seconds():,.0f} seconds: are the workers running?")
    return found
