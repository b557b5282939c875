"""People and groups who must know, and the ways to reach them."""

from typing import ClassVar

from django.db import models

from alerts.models import credential


class Channel(models.Model):
    """A Slack workspace: a bot's token for chat.postMessage, or an incoming webhook. The secret is kept encrypted."""

    class Kind(models.TextChoices):
        """How messages are posted."""

        BOT = "bot", "Bot token (chat.postMessage)"
        WEBHOOK = "webhook", "Incoming webhook"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    sealed_secret = models.BinaryField(editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def set_secret(self, secret: str) -> None:
        """Keep the bot token or the webhook's address, encrypted."""
        self.sealed_secret = credential.encrypt(secret)

    def secret(self) -> str:
        """Return the bot token or the webhook's address.

        Raises CredentialLost where no key decrypts it.
        """
        return credential.decrypt(self.sealed_secret)


class Stakeholder(models.Model):
    """Somebody who is told about alerts, by mail, by Slack, or both."""

    class Group(models.TextChoices):
        """Who they are to an incident; each group gets a text of its own."""

        SECURITY = "security", "Security"
        IT = "it", "IT"
        MANAGEMENT = "management", "Management"

    name = models.CharField(max_length=120)
    group = models.CharField(max_length=12, choices=Group)
    email = models.EmailField(blank=True, default="")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, null=True, blank=True, related_name="stakeholders")
    slack_channel = models.CharField(
        "Slack channel",
        max_length=80,
        blank=True,
        default="",
        help_text="Such as #security-alerts; a webhook has its own.",
    )

    class Meta:
        ordering: ClassVar = ["group", "name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(email="") | models.Q(channel__isnull=False), name="stakeholder_can_be_reached"
            )
        ]

    def __str__(self) -> str:
        return self.name
