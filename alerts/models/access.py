"""Every role and binding ever seen, and each of its versions."""

import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from django.db import models
from django.utils import timezone

from alerts.models.audit_event import AuditEvent
from alerts.models.cluster import Cluster

# Kind, namespace and name
type Name = tuple[str, str, str]


class AccessObject(models.Model):
    """A role or binding by its name. What it was at some time is in its versions; a new uid is a version too."""

    class Kind(models.TextChoices):
        """The four kinds of rbac.authorization.k8s.io."""

        CLUSTER_ROLE = "ClusterRole", "ClusterRole"
        ROLE = "Role", "Role"
        CLUSTER_ROLE_BINDING = "ClusterRoleBinding", "ClusterRoleBinding"
        ROLE_BINDING = "RoleBinding", "RoleBinding"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="access_objects")
    # Names have no length limit, and a database's index has: the digest is what is unique.
    digest = models.CharField(max_length=64, editable=False)
    kind = models.CharField(max_length=20, choices=Kind)
    namespace = models.TextField(blank=True, default="")
    name = models.TextField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["cluster", "digest"], name="access_object_once")]

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"

    @staticmethod
    def digest_of(kind: str, namespace: str, name: str) -> str:
        """Return the key of an object in its cluster."""
        return hashlib.sha256("\0".join((kind, namespace, name)).encode("utf-8", "surrogatepass")).hexdigest()

    @classmethod
    def named(cls, cluster: Cluster, kind: str, namespace: str, name: str) -> Self:
        """Return the object of that name, made if it was never seen."""
        found, _ = cls.objects.get_or_create(
            cluster=cluster,
            digest=cls.digest_of(kind, namespace, name),
            defaults={"kind": kind, "namespace": namespace, "name": name},
        )
        return found

    @classmethod
    def hold(cls, cluster: Cluster, names: Iterable[Name]) -> dict[Name, Self]:
        """Return the objects of these names, made if they were never seen, and locked until the transaction is over.

        So what became of an object is worked out by one worker after the other, though each has other events of it. A
        transaction holds all that it needs at once and in one order: no two wait for each other.
        """
        digests = {cls.digest_of(*name): name for name in names}
        if not digests:
            return {}
        named = cls.objects.filter(cluster=cluster, digest__in=digests)
        missing = sorted(digests.keys() - set(named.values_list("digest", flat=True)))
        never_seen = [(digest, *digests[digest]) for digest in missing]
        cls.objects.bulk_create(
            [
                cls(cluster=cluster, digest=digest, kind=kind, namespace=namespace, name=name)
                for digest, kind, namespace, name in never_seen
            ],
            ignore_conflicts=True,
        )
        return {digests[held.digest]: held for held in named.select_for_update(no_key=True).order_by("digest")}

    @property
    def is_role(self) -> bool:
        """Whether it is a role, and not a binding."""
        return self.kind in {self.Kind.CLUSTER_ROLE, self.Kind.ROLE}

    def latest(self) -> "AccessVersion | None":
        """Return the newest version, or None where nothing but the name is known."""
        return self.versions.order_by("-at", "-pk").first()


# What a BigIntegerField holds for sure. etcd counts to 63 bits.
_LONGEST_REVISION = 18


def revision_of(resource_version: str) -> int | None:
    """Return the revision of etcd that a resourceVersion is, None where it is not known to be one.

    Decimal digits without a leading zero are, and of two of one resource the greater is the later
    (CompareResourceVersion in apimachinery's util/resourceversion). Any other tells nothing of the order.
    """
    decimal = resource_version.isascii() and resource_version.isdigit() and resource_version[0] != "0"
    return int(resource_version) if decimal and len(resource_version) <= _LONGEST_REVISION else None


if TYPE_CHECKING:
    _Number = models.BigIntegerField[int | None, int | None]
else:
    _Number = models.BigIntegerField


class Revision(_Number):
    """The version's `resource_version` as a number, kept beside it to be compared."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return what is stored: whatever was set before, it follows from the `resource_version`."""
        version = cast("AccessVersion", model_instance)
        version.revision = revision_of(version.resource_version)
        return super().pre_save(model_instance, add)


class AccessVersion(models.Model):
    """A role or binding as it stood from one moment on, seen in an event or in a listing of the cluster."""

    class Source(models.TextChoices):
        """How we know."""

        EVENT = "event", "audit event"
        LISTING = "listing", "listing of the cluster"

    class Explanation(models.TextChoices):
        """Why a version that no event told of is no alarm."""

        BASELINE = "baseline", "there before Rolecall looked"
        EVENT = "event", "an event that does not show the version"
        AGGREGATION = "aggregation", "rules taken from other roles by the controller"
        DEFAULT = "default", "what Kubernetes ships, put back by the API server"

    object = models.ForeignKey(AccessObject, on_delete=models.CASCADE, related_name="versions")
    source = models.CharField(max_length=8, choices=Source)
    event = models.ForeignKey(AuditEvent, on_delete=models.PROTECT, null=True, related_name="versions")
    # When it took effect at the latest: versions of one uid stand in the order of their revisions (see chronology).
    at = models.DateTimeField(default=timezone.now, help_text="Of the request's end, or of the listing")
    uid = models.CharField(max_length=64, blank=True)
    resource_version = models.CharField(max_length=64, blank=True)
    revision = Revision(null=True, editable=False, help_text="resourceVersion, where it is a number")
    deletion = models.BooleanField(default=False, help_text="From here on the object does not exist")
    # None where the event was logged without its objects: unknown, which is not empty.
    manifest = models.JSONField(null=True, help_text="The object, without managedFields")
    explanation = models.CharField(max_length=12, choices=Explanation, blank=True, default="")
    alert = models.ForeignKey(
        "alerts.Alert",
        on_delete=models.SET_NULL,
        null=True,
        related_name="unaudited_versions",
        help_text="Opened since no event explained it",
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["object", "uid", "resource_version", "deletion"],
                condition=~models.Q(resource_version=""),
                name="access_version_once",
            ),
            models.UniqueConstraint(fields=["object", "event"], name="access_version_once_an_event"),
        ]
        indexes: ClassVar = [
            # What stood before is asked for at each write, and a role may have been written a hundred thousand times.
            models.Index(fields=["object", "at"], name="access_version_history"),
            models.Index(fields=["object", "uid", "revision"], name="access_version_order"),
            models.Index(
                fields=["at"],
                condition=models.Q(source="listing", explanation="", alert=None),
                name="access_version_unexplained",
            ),
        ]
        ordering: ClassVar = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.object} @ {self.resource_version or self.at.isoformat()}"

    @classmethod
    def newest_of(
        cls, objects: models.QuerySet[AccessObject], condition: models.Q | None = None
    ) -> models.QuerySet[Self]:
        """Return the newest version of each of these objects, or the newest of those that fulfil the condition."""
        fulfilling = cls.objects.filter(condition or models.Q(), object=models.OuterRef("pk"))
        newest = models.Subquery(fulfilling.order_by("-at", "-pk").values("pk")[:1])
        return cls.objects.filter(pk__in=objects.annotate(newest=newest).values("newest")).order_by()

    @property
    def created(self) -> bool:
        """Whether its event made the object, so that there was nothing of that name before."""
        return self.event is not None and self.event.code == HTTPStatus.CREATED

    def tells(self) -> bool:
        """Tell whether it is known what the object was: gone, or this manifest."""
        return self.deletion or self.manifest is not None

    def previous(self) -> "AccessVersion | None":
        """Return the version before this one, None where there is none."""
        earlier = models.Q(at__lt=self.at) | models.Q(at=self.at, pk__lt=self.pk)
        return self.object.versions.filter(earlier).order_by("-at", "-pk").first()
