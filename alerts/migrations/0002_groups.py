"""The four groups of people: who may look, triage, revoke, and administer."""

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

GROUPS = {
    "Viewer": [],
    "Analyst": ["triage_alert"],
    "Responder": ["triage_alert", "revoke_role"],
    "Administrator": [
        "triage_alert",
        *(
            f"{verb}_{model}"
            for model in ("cluster", "stakeholder", "channel", "knownactor")
            for verb in ("add", "change", "view")
        ),
        "delete_stakeholder",
        "delete_channel",
    ],
}


def make(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the groups and give them their permissions, which Django would create only after the last migration."""
    alias = schema_editor.connection.alias
    create_permissions(installed_apps.get_app_config("alerts"), verbosity=0, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, codenames in GROUPS.items():
        group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)
        group.permissions.set(permissions.filter(content_type__app_label="alerts", codename__in=codenames))


class Migration(migrations.Migration):
    """Runs after the permissions' own tables exist."""

    dependencies = [
        ("alerts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
