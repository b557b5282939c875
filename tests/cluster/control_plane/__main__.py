"""Runs a control plane until it is interrupted: `python -m tests.cluster.control_plane`."""

import signal
import sys

from tests.cluster.control_plane.plane import AUTHORITY, start


def main() -> None:
    """Start it, say where it is and how to get in, and wait."""
    with start(users={"nobody": []}) as plane:
        authority = plane.folder / f"{AUTHORITY}.crt"
        sys.stdout.write(
            f"address    {plane.address}\nauthority  {authority}\naudit log  {plane.audit_log}\n"
            + "".join(f"token      {name}: {token}\n" for name, token in plane.tokens.items())
            + f"try        curl --cacert {authority} -H 'Authorization: Bearer TOKEN' {plane.address}/apis\n"
        )
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
