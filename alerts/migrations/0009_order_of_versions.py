"""What orders the versions of an object: their revisions as numbers, and the end of the request that made each."""

from datetime import datetime, timedelta
from typing import Any

import django.utils.timezone
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import alerts.models.access

_STEP = timedelta(microseconds=1)
_AT_ONCE = 500


def order(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Date what events told by the end of their requests, but none later than what came after it by its revision."""
    versions = apps.get_model("alerts", "AccessVersion").objects
    of_one: list[Any] = []
    rows = versions.select_related("event").defer("manifest").order_by("object", "uid", "pk")
    for version in rows.iterator(chunk_size=_AT_ONCE):
        if of_one and (of_one[0].object_id, of_one[0].uid) != (version.object_id, version.uid):
            _save(versions, of_one)
            of_one = []
        version.revision = alerts.models.access.revision_of(version.resource_version)
        version.at = max(version.at, _ended(version)) if version.event else version.at
        # Of a role that was written very often not all the events have room.
        version.event = None
        of_one.append(version)
    _save(versions, of_one)


def _save(versions: Any, of_one: list[Any]) -> None:
    """Date and number the versions of one uid of an object."""
    later: Any = None
    numbered = [each for each in of_one if each.uid and each.revision is not None]
    for version in sorted(numbered, key=lambda each: each.revision, reverse=True):
        if later is not None and later.at <= version.at:
            version.at = later.at - _STEP
        later = version
    versions.bulk_update(of_one, ["at", "revision"], batch_size=_AT_ONCE)


def _ended(version: Any) -> datetime:
    began: datetime = version.at
    try:
        ended = datetime.fromisoformat(version.event.body.get("stageTimestamp"))
    except (TypeError, ValueError):
        return began
    return ended if ended.tzinfo else began


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0008_held_requests"),
    ]

    operations = [
        migrations.AddField(
            model_name="accessversion",
            name="revision",
            field=alerts.models.access.Revision(
                editable=False, help_text="resourceVersion, where it is a number", null=True
            ),
        ),
        migrations.AlterField(
            model_name="accessversion",
            name="at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, help_text="Of the request's end, or of the listing"
            ),
        ),
        migrations.AddIndex(
            model_name="accessversion",
            index=models.Index(fields=["object", "uid", "revision"], name="access_version_order"),
        ),
        migrations.RunPython(order, migrations.RunPython.noop),
    ]
