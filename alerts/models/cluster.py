"""A Kubernetes cluster that sends us its audit events."""

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from alerts.models import credential


class Cluster(models.Model):
    """A cluster: how it authenticates to us, how we reach it, and what we may do there."""

    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[
            RegexValidator(r"\A[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z", "Use lower-case letters, digits and hyphens.")
        ],
    )
    hook_token_hash = models.CharField(max_length=64, editable=False)
    previous_hook_token_hash = models.CharField(max_length=64, blank=True, default="", editable=False)

    push_account = models.EmailField(
        "service account that may push",
        blank=True,
        default="",
        help_text="The mail address for which pushes of Google Pub/Sub are signed. Empty: none is accepted.",
    )

    api_address = models.URLField("API address", blank=True, default="")
    certificate_authority = models.TextField(blank=True, default="", help_text="PEM")
    sealed_api_token = models.BinaryField(null=True, editable=False)
    readable = models.BooleanField(default=False, help_text="Rolecall may read RBAC objects there.")
    revocable = models.BooleanField(default=False, help_text="Rolecall may delete roles and bindings there.")
    sealed_restorer_token = models.BinaryField(null=True, editable=False)
    second_person_required = models.BooleanField(
        default=False, help_text="Each revoke there has to be approved by somebody else than who asked for it."
    )
    private_address_allowed = models.BooleanField(
        default=False, help_text="The API address may be a private or loopback one."
    )

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_batch_at = models.DateTimeField(null=True, editable=False)
    last_event_at = models.DateTimeField(null=True, editable=False)
    # Since the beginning, whatever was purged since. Those that wait are not among them: posts would wait for the row.
    batches_finished = models.PositiveBigIntegerField(default=0, editable=False)
    events_examined = models.PositiveBigIntegerField(default=0, editable=False)
    events_salvaged = models.PositiveBigIntegerField(default=0, editable=False)
    items_damaged = models.PositiveBigIntegerField(default=0, editable=False)

    inventory_at = models.DateTimeField(null=True, editable=False)
    inventory_error = models.TextField(blank=True, default="", editable=False)
    canary_error = models.TextField(
        blank=True, default="", editable=False, help_text="Why the last canary was not sent"
    )
    unasked_since = models.DateTimeField(null=True, editable=False, help_text="Empty while it can be asked")
    silent_since = models.DateTimeField(null=True, editable=False, help_text="Empty while its events arrive")

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def issue_hook_token(self) -> str:
        """Return a new hook token, which cannot be shown again; the one before stays valid for the change-over."""
        token = secrets.token_urlsafe(32)
        self.previous_hook_token_hash = self.hook_token_hash
        self.hook_token_hash = hashlib.sha256(token.encode()).hexdigest()
        return token

    def accepts(self, token: str) -> bool:
        """Tell whether this is one of the cluster's hook tokens, in constant time."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        current = hmac.compare_digest(digest, self.hook_token_hash)
        previous = hmac.compare_digest(digest, self.previous_hook_token_hash)
        return current or previous

    def set_api_token(self, token: str) -> None:
        """Keep the token for the cluster's API, encrypted."""
        self.sealed_api_token = credential.encrypt(token)

    def api_token(self) -> str:
        """Return the token for the cluster's API, or the empty string where none is kept.

        Raises CredentialLost where no key decrypts it.
        """
        return credential.decrypt(self.sealed_api_token) if self.sealed_api_token else ""

    @property
    def restorable(self) -> bool:
        """Whether Rolecall holds the token of an account that may put back what was revoked."""
        return bool(self.api_address and self.sealed_restorer_token)

    def set_restorer_token(self, token: str) -> None:
        """Keep the token of the account that restores, encrypted; an empty one forgets it."""
        self.sealed_restorer_token = credential.encrypt(token) if token else None

    def restorer_token(self) -> str:
        """Return the token of the account that restores, or the empty string where none is kept.

        Raises CredentialLost where no key decrypts it.
        """
        return credential.decrypt(self.sealed_restorer_token) if self.sealed_restorer_token else ""

    def heard_from(self, at: datetime | None, *, batches: int, examined: int, salvaged: int, damaged: int) -> None:
        """Count what batches held, and note that the newest event of the cluster so far is of `at` or later.

        Whoever writes an event may date it as they like: what is later than now is taken for now, and forgotten where
        it was noted before.
        """
        last, now = models.F("last_event_at"), timezone.now()
        sound = models.Case(models.When(last_event_at__lte=now, then=last))
        at = min(at, now) if at else None
        Cluster.objects.filter(pk=self.pk).update(
            last_event_at=Greatest(Coalesce(sound, at), at) if at else last,
            batches_finished=models.F("batches_finished") + batches,
            events_examined=models.F("events_examined") + examined,
            events_salvaged=models.F("events_salvaged") + salvaged,
            items_damaged=models.F("items_damaged") + damaged,
        )
