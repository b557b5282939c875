"""A test message belongs to no alert."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0002_groups"),
    ]

    operations = [
        migrations.AlterField(
            model_name="notification",
            name="alert",
            field=models.ForeignKey(
                help_text="Empty for a test message",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notifications",
                to="alerts.alert",
            ),
        ),
    ]
