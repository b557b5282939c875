"""One request to a Kubernetes API, as far as its permissions go."""

import shlex

import msgspec


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody asks of the API server: a verb on a resource, or on a bare path.

    `group` is "" for the core group, `name` is "" for what names no object (list, watch, create, deletecollection),
    `namespace` is "" for the whole cluster. With a `path` it is a non-resource request, and only verb and path count.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str | None = None

    @property
    def resource_text(self) -> str:
        """The resource as people and kubectl write it: `pods/log`, `deployments.apps`."""
        dotted = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{dotted}/{self.subresource}" if self.subresource else dotted

    def __str__(self) -> str:
        if self.path is not None:
            return f"{self.verb} {self.path}"
        parts = [self.verb, self.resource_text]
        if self.name:
            parts.append(self.name)
        if self.namespace:
            parts.append(f"in {self.namespace}")
        return " ".join(parts)

    def kubectl(self, user: str = "", groups: tuple[str, ...] = ()) -> str:
        """Return the kubectl command that asks the cluster whether this request is allowed; it changes nothing.

        With `user` (and `groups`) it asks on behalf of somebody else. Every word is quoted for a shell.
        """
        words = ["kubectl", "auth", "can-i", self.verb]
        if self.path is not None:
            words.append(self.path)
        else:
            dotted = f"{self.resource}.{self.group}" if self.group else self.resource
            words.append(f"{dotted}/{self.name}" if self.name else dotted)
            if self.subresource:
                words.append(f"--subresource={self.subresource}")
            words += ["--namespace", self.namespace] if self.namespace else ["--all-namespaces"]
        if user:
            words.append(f"--as={user}")
        words += [f"--as-group={group}" for group in groups]
        return shlex.join(words)
