"""Batches are counted with their cluster when they are done, and no longer when they arrive."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def _leave_out_unfinished(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    _change(apps, -1)


def _count_unfinished(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    _change(apps, 1)


def _change(apps: Apps, sign: int) -> None:
    batches = apps.get_model("alerts", "Batch").objects.exclude(state="done")
    for cluster in apps.get_model("alerts", "Cluster").objects.all():
        cluster.batches_finished = max(0, cluster.batches_finished + sign * batches.filter(cluster=cluster).count())
        cluster.save(update_fields=["batches_finished"])


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0004_push_account"),
    ]

    operations = [
        migrations.RenameField("cluster", "batches_received", "batches_finished"),
        migrations.RunPython(_leave_out_unfinished, _count_unfinished),
    ]
