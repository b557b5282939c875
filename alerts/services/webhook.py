"""What an API server needs to send its audit events here: an address with a token, a policy, and flags."""

from pathlib import Path

import yaml
from django.conf import settings
from django.urls import reverse

from alerts import audit
from alerts.models import Cluster

# Seconds instead of the default half minute until a lonely event is sent. The mode is batch, the default: any other has
# every request of the cluster wait for us. Truncation checks each event by itself, so that one which cannot be sent (of
# a malformed patch) does not take its whole batch along; its limit is so high that nothing is ever cut or left out for
# its size, as Kubernetes' own limit of 100 kB would.
#
# An event of megabytes is easily made, without a log-in too (docs/decisions/0016). A batch with too many of them is
# lost with all the others in it, so batches are small, and there may be as many events a second as by default: 400 in
# a batch, 10 batches a second, 15 at once.
BATCH_MAX_SIZE = "--audit-webhook-batch-max-size=50"
FLAGS = (
    "--audit-policy-file=/etc/kubernetes/rolecall/audit-policy.yaml",
    "--audit-webhook-config-file=/etc/kubernetes/rolecall/webhook.kubeconfig",
    "--audit-webhook-batch-max-wait=2s",
    BATCH_MAX_SIZE,
    "--audit-webhook-batch-throttle-qps=80",
    "--audit-webhook-batch-throttle-burst=120",
    "--audit-webhook-truncate-enabled",
    "--audit-webhook-truncate-max-event-size=10485760",
)


def address(cluster: Cluster) -> str:
    """Return where the API server posts: over https, for it sends its token over nothing else."""
    scheme, _, rest = settings.PUBLIC_URL.partition("://")
    return f"{'https' if scheme == 'http' else scheme}://{rest}{reverse('alerts:hook', args=[cluster.name])}"


def kubeconfig(cluster: Cluster, token: str) -> str:
    """Return the file for --audit-webhook-config-file, as YAML. It holds the token."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rolecall", "cluster": {"server": address(cluster)}}],
        "users": [{"name": cluster.name, "user": {"token": token}}],
        "contexts": [{"name": "rolecall", "context": {"cluster": "rolecall", "user": cluster.name}}],
        "current-context": "rolecall",
    }
    return yaml.safe_dump(content, sort_keys=False)


def policy() -> str:
    """Return the file for --audit-policy-file, as YAML."""
    return Path(audit.__file__).with_name("policy.yaml").read_text()
