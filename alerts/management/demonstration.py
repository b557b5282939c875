"""What the demo starts with: a person of each group, people to tell, and a cluster that can be read and revoked on."""

import secrets

from django.contrib.auth.models import Group, User
from django.db import transaction

from alerts.models import Alert, Channel, Cluster, Stakeholder

PEOPLE = {"responder": "Responder", "analyst": "Analyst", "viewer": "Viewer", "administrator": "Administrator"}
STAKEHOLDERS = (
    ("Security on call", Stakeholder.Group.SECURITY, "security@example.org", "#security-alerts"),
    ("Platform team", Stakeholder.Group.IT, "platform@example.org", "#platform"),
    ("Head of engineering", Stakeholder.Group.MANAGEMENT, "engineering@example.org", "#incident-briefing"),
)
CLUSTER = "prod-eu"
ATTACK = "metrics-scraper-v2"


@transaction.atomic
def make_people() -> dict[str, str]:
    """Make one person of each group, named after it, and return their new passwords."""
    passwords = {}
    for name, group in PEOPLE.items():
        user, _ = User.objects.get_or_create(
            username=name, defaults={"email": f"{name}@example.org", "is_staff": group == "Administrator"}
        )
        passwords[name] = secrets.token_urlsafe(9)
        user.set_password(passwords[name])
        user.save()
        user.groups.set([Group.objects.get(name=group)])
    return passwords


@transaction.atomic
def make_stakeholders() -> None:
    """Make somebody to tell in each group, with a mail address and a Slack channel."""
    workspace = Channel.objects.filter(name="Demo workspace").first()
    if workspace is None:
        workspace = Channel(name="Demo workspace", kind=Channel.Kind.BOT)
        workspace.set_secret("xoxb-demo")
        workspace.save()
    for name, group, email, slack_channel in STAKEHOLDERS:
        Stakeholder.objects.get_or_create(
            name=name,
            defaults={"group": group, "email": email, "channel": workspace, "slack_channel": slack_channel},
        )


@transaction.atomic
def connect_cluster(api_address: str, api_token: str) -> str:
    """Connect the practice cluster, allow to read and revoke there, and return a new token for its hook."""
    cluster = Cluster.objects.filter(name=CLUSTER).first() or Cluster(name=CLUSTER)
    cluster.api_address = api_address
    cluster.set_api_token(api_token)
    cluster.readable = cluster.revocable = cluster.private_address_allowed = True
    token = cluster.issue_hook_token()
    cluster.save()
    return token


def attack() -> Alert | None:
    """Return the alert on the role with which the recorded attack began, once it has opened."""
    return Alert.objects.filter(cluster__name=CLUSTER, object__kind="ClusterRole", object__name=ATTACK).first()
