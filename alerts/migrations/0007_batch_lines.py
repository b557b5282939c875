"""An index for the lines that batches mention, on PostgreSQL; see alerts.models.lines."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def index(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        lines = "string_to_array(mentions, E'\\n')"
        schema_editor.execute(f"CREATE INDEX batch_lines ON alerts_batch USING gin ({lines})")


def unindex(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX batch_lines")


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0006_version_history"),
    ]

    operations = [migrations.RunPython(index, unindex)]
