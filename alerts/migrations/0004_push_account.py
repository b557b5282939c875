"""The account whose pushes a cluster accepts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0003_removals"),
    ]

    operations = [
        migrations.AddField(
            model_name="cluster",
            name="push_account",
            field=models.EmailField(
                blank=True,
                default="",
                help_text="The mail address for which pushes of Google Pub/Sub are signed. Empty: none is accepted.",
                max_length=254,
                verbose_name="service account that may push",
            ),
        ),
    ]
