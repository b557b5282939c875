"""Everything encrypted, encrypted anew under the first of CREDENTIAL_KEYS, so that the others can be taken out.

It can be interrupted and begun again at any time: what is under the first key already is left as it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import models, transaction

from alerts.models import Batch, Channel, Cluster, DamagedItem, HeldRequests, credential
from alerts.models.credential import CredentialLost
from alerts.services import archive

_AT_ONCE = 100


def _credential(sealed: bytes) -> bytes | None:
    return None if credential.is_current(sealed) else credential.rotate(sealed)


# What people call it, the field it is in, and what encrypts it anew. A test holds this against the models' fields.
KEPT_ENCRYPTED: tuple[tuple[str, type[models.Model], str, Callable[[bytes], bytes | None]], ...] = (
    ("cluster credentials", Cluster, "sealed_api_token", _credential),
    ("restorer credentials", Cluster, "sealed_restorer_token", _credential),
    ("channel secrets", Channel, "sealed_secret", _credential),
    ("damaged items", DamagedItem, "body", archive.repack),
    ("requests held for alerts", HeldRequests, "body", archive.repack),
    ("stored batches", Batch, "body", archive.repack),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing that is kept encrypted: what people call it, how many there are, and how each is rotated."""

    title: str
    count: int
    rotate: Callable[[], Iterator[bool | None]]


def kinds() -> list[Kind]:
    """Return every kind. `rotate` yields for each thing True where it changed, False if not, None where no key fits."""
    return [
        Kind(title, _sealed(model, field).count(), partial(_rotate, model, field, rotated))
        for title, model, field, rotated in KEPT_ENCRYPTED
    ]


def _sealed(model: type[models.Model], field: str) -> models.QuerySet[Any]:
    return model._default_manager.filter(**{f"{field}__isnull": False})


def _rotate(model: type[models.Model], field: str, rotated: Callable[[bytes], bytes | None]) -> Iterator[bool | None]:
    last = 0
    while keys := list(
        _sealed(model, field).filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_AT_ONCE]
    ):
        for key in keys:
            yield _rotate_one(model, field, rotated, key)
        last = keys[-1]


def _rotate_one(
    model: type[models.Model], field: str, rotated: Callable[[bytes], bytes | None], key: int
) -> bool | None:
    """Rotate one thing; somebody who enters it anew meanwhile has to wait, or is seen."""
    with transaction.atomic():
        rows = model._default_manager.filter(pk=key)
        sealed = rows.select_for_update(of=("self",)).values_list(field, flat=True).first()
        if sealed is None:
            return False
        try:
            fresh = rotated(bytes(sealed))
        except CredentialLost:
            return None
        if fresh is not None:
            rows.update(**{field: fresh})
        return fresh is not None
