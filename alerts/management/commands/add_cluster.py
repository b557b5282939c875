"""Add a cluster, or give one a new token, and say what its API server needs."""

import json
import ssl
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from alerts.audit.visible import visible
from alerts.models import Activity, Cluster
from alerts.services import pushes, webhook

_EXIT = 2


class Command(BaseCommand):
    """Makes the cluster and prints its token, which cannot be shown again, with the files for its API server."""

    help = "Add a cluster and print what its API server needs: a webhook kubeconfig and an audit policy."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("name", help="lower-case letters, digits and hyphens")
        parser.add_argument("--rotate-token", action="store_true", help="a new token for a cluster that exists")
        parser.add_argument(
            "--push-account", default="", metavar="MAIL", help="Google Pub/Sub may push as this account"
        )
        parser.add_argument("--api-address", default="", metavar="URL", help="where Rolecall reaches its API")
        parser.add_argument("--certificate-authority", metavar="FILE", help="PEM; without it, the system's authorities")
        parser.add_argument("--api-token-file", metavar="FILE", help="the token Rolecall uses there")
        parser.add_argument("--readable", action="store_true", help="Rolecall may read RBAC objects there")
        parser.add_argument("--revocable", action="store_true", help="Rolecall may delete roles and bindings there")
        parser.add_argument("--private-address-allowed", action="store_true", help="the address may be a private one")
        parser.add_argument("--json", action="store_true", help="print everything as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Add the cluster, or rotate its token.

        Raises CommandError with exit code 2 where something is missing or wrong.
        """
        with transaction.atomic():
            cluster, done = self._cluster(options["name"], rotate=options["rotate_token"])
            cluster.push_account = options["push_account"] or cluster.push_account
            _connect(cluster, options)
            token = cluster.issue_hook_token()
            try:
                cluster.full_clean()
            except ValidationError as error:
                raise CommandError(" ".join(error.messages), returncode=_EXIT) from None
            cluster.save()
            Activity.objects.record("cluster", f"{done} cluster {cluster.name}", by=None, cluster=cluster)
        self.stdout.write(_as_json(cluster, token) if options["json"] else _as_text(cluster, token))
        if cluster.push_account and not settings.HOOK_JWKS_URL:
            self.stderr.write("HOOK_JWKS_URL is not set, so no push is accepted: see docs/sources.md.")
        if settings.PUBLIC_URL.startswith("http://"):
            self.stderr.write(
                f"An API server sends its token over https only, and PUBLIC_URL is {settings.PUBLIC_URL}: "
                "put TLS in front of Rolecall and set PUBLIC_URL to that address."
            )

    @staticmethod
    def _cluster(name: str, *, rotate: bool) -> tuple[Cluster, str]:
        found = Cluster.objects.select_for_update().filter(name=name).first()
        if rotate and found is None:
            raise CommandError(f"There is no cluster {visible(name)}.", returncode=_EXIT)
        if found is not None and not rotate:
            raise CommandError(
                f"There is a cluster {name} already. --rotate-token gives it a new token.", returncode=_EXIT
            )
        return (found, "gave a new token to") if found is not None else (Cluster(name=name), "added")


def _connect(cluster: Cluster, options: dict[str, Any]) -> None:
    """Take over how the cluster's API is reached, as far as the options say."""
    if options["api_address"]:
        cluster.api_address = options["api_address"]
    if options["certificate_authority"]:
        cluster.certificate_authority = _content(options["certificate_authority"])
        try:
            ssl.create_default_context(cadata=cluster.certificate_authority)
        except ssl.SSLError:
            raise CommandError(
                f"{visible(options['certificate_authority'])} holds no certificate in PEM.", returncode=_EXIT
            ) from None
    if options["api_token_file"]:
        cluster.set_api_token(_content(options["api_token_file"]).strip())
    for permission in ("readable", "revocable", "private_address_allowed"):
        if options[permission]:
            setattr(cluster, permission, True)
    if (cluster.readable or cluster.revocable) and not (cluster.api_address and cluster.sealed_api_token):
        raise CommandError("--readable and --revocable need --api-address and --api-token-file.", returncode=_EXIT)


def _content(name: str) -> str:
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CommandError(f"{visible(name)} cannot be read: {reason}.", returncode=_EXIT) from None


def _as_json(cluster: Cluster, token: str) -> str:
    return json.dumps(
        {
            "cluster": cluster.name,
            "token": token,
            "url": webhook.address(cluster),
            "kubeconfig": webhook.kubeconfig(cluster, token),
            "audit_policy": webhook.policy(),
            "flags": list(webhook.FLAGS),
        },
        indent=2,
    )


def _as_text(cluster: Cluster, token: str) -> str:
    account = cluster.push_account
    push = f"Pushes are accepted of {account}, for the audience {pushes.audience(cluster)}\n" if account else ""
    return f"""\
Cluster {cluster.name} posts to {webhook.address(cluster)}
{push}Token, shown this once: {token}

# ---- webhook.kubeconfig, readable to the API server alone
{webhook.kubeconfig(cluster, token)}
# ---- audit-policy.yaml
{webhook.policy()}
# ---- flags of kube-apiserver
{chr(10).join(webhook.FLAGS)}"""
