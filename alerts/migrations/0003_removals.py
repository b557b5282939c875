"""What was left behind is removed by a mode of a revocation."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0002_groups"),
    ]

    operations = [
        migrations.AlterField(
            model_name="revocation",
            name="mode",
            field=models.CharField(
                choices=[
                    ("revoke", "Revoke"),
                    ("unbind", "Unbind"),
                    ("contain", "Contain"),
                    ("remove", "Remove what was left behind"),
                ],
                default="revoke",
                max_length=8,
            ),
        ),
    ]
