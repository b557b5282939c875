"""An index for what stood before a moment."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0005_batches_finished"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="accessversion",
            index=models.Index(fields=["object", "at"], name="access_version_history"),
        ),
    ]
