"""Known actors, mutes, saved views, and what alerts of one rollout have in common."""

import datetime as dt

import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def permit(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Let administrators write known actors. Django would create the permissions only after the last migration."""
    alias = schema_editor.connection.alias
    create_permissions(installed_apps.get_app_config("alerts"), verbosity=0, using=alias)
    group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name="Administrator")
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    codenames = ["add_knownactor", "change_knownactor", "view_knownactor"]
    group.permissions.add(*permissions.filter(content_type__app_label="alerts", codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0003_notification_without_an_alert"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40)),
                (
                    "query",
                    models.TextField(blank=True, default="", help_text="The query string, without what is the default"),
                ),
                ("shared", models.BooleanField(default=False)),
            ],
            options={
                "ordering": ["name", "pk"],
            },
        ),
        migrations.AddField(
            model_name="alert",
            name="historical",
            field=models.BooleanField(default=False, help_text="It was long over when we heard of it: no alarm"),
        ),
        migrations.AddField(
            model_name="alert",
            name="release",
            field=models.TextField(blank=True, default="", help_text="What its object was released with"),
        ),
        migrations.AddField(
            model_name="alert",
            name="rollout_key",
            field=models.CharField(blank=True, default="", help_text="Who, from where and with what", max_length=64),
        ),
        migrations.CreateModel(
            name="KnownActor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="What people call it, such as: releases by CI", max_length=80)),
                (
                    "username",
                    models.TextField(help_text="The exact user name. A * stands for anything up to the next : @ or /"),
                ),
                (
                    "client",
                    models.TextField(blank=True, default="", help_text="Its user agent; a * stands for anything"),
                ),
                (
                    "networks",
                    models.JSONField(
                        default=list, help_text="Every source address must lie in one of them; none: anywhere"
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "cluster",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="known_actors", to="alerts.cluster"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["cluster__name", "name", "pk"],
            },
        ),
        migrations.AddField(
            model_name="alert",
            name="known_actor",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="alerts", to="alerts.knownactor"
            ),
        ),
        migrations.CreateModel(
            name="Mute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("detection", models.CharField(blank=True, default="", max_length=64)),
                ("actor", models.TextField(blank=True, default="")),
                (
                    "object",
                    models.TextField(
                        blank=True, default="", help_text="Kind and name, such as: ClusterRole certkeeper-*"
                    ),
                ),
                ("covers_critical", models.BooleanField(default=False)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("applied", models.BooleanField(default=False, help_text="To all that was open when it began")),
                (
                    "preview",
                    models.JSONField(default=dict, help_text="What it would have hidden, as it was shown before"),
                ),
                (
                    "cluster",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mutes",
                        to="alerts.cluster",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
            },
        ),
        migrations.AddField(
            model_name="alert",
            name="muted_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="alerts", to="alerts.mute"
            ),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["cluster", "rollout_key"], name="alert_rollout"),
        ),
        migrations.AddField(
            model_name="savedview",
            name="owner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="saved_views", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="knownactor",
            constraint=models.UniqueConstraint(fields=("cluster", "name"), name="known_actor_once_by_name"),
        ),
        migrations.AddConstraint(
            model_name="knownactor",
            constraint=models.CheckConstraint(
                condition=models.Q(("username", ""), _negated=True), name="known_actor_is_somebody"
            ),
        ),
        migrations.AddConstraint(
            model_name="knownactor",
            constraint=models.CheckConstraint(
                condition=models.Q(("username__startswith", "*"), _negated=True), name="known_actor_is_anchored"
            ),
        ),
        migrations.AddConstraint(
            model_name="mute",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_at__gt", models.F("created_at")),
                    (
                        "expires_at__lte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("created_at"), "+", models.Value(dt.timedelta(days=90))
                        ),
                    ),
                ),
                name="mute_expires_within_90_days",
            ),
        ),
        migrations.AddConstraint(
            model_name="mute",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="mute_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="mute",
            constraint=models.CheckConstraint(
                condition=models.Q(("actor", ""), ("detection", ""), ("object", ""), _negated=True),
                name="mute_is_not_of_everything",
            ),
        ),
        migrations.AddConstraint(
            model_name="mute",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("covers_critical", False),
                    models.Q(
                        ("cluster__isnull", False),
                        models.Q(("actor", ""), _negated=True),
                        models.Q(("object", ""), _negated=True),
                        models.Q(("actor__contains", "*"), _negated=True),
                        models.Q(("object__contains", "*"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="mute_covers_critical_only_of_one_object_and_actor",
            ),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(fields=("owner", "name"), name="saved_view_once_by_name"),
        ),
        migrations.RunPython(permit, migrations.RunPython.noop),
    ]
