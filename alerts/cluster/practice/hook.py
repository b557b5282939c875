"""Sends audit events to a webhook as an API server's batching backend does, without ever holding up a request."""

import json
import logging
import queue
import threading
import time
from collections.abc import Iterable
from typing import Self

import urllib3

from alerts.cluster.kinds import Manifest

logger = logging.getLogger(__name__)

BATCH_SIZE = 400
BUFFER_SIZE = 10_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


class Hook:
    """A webhook and the thread that feeds it: EventLists, at most `max_wait` seconds after the first event in them.

    An answer of 429 or 5xx, or none, is tried again until the hook is closed; any other refusal is logged and the batch
    dropped, because sending it again could not help. Events beyond a full buffer are dropped, and that is logged too.
    """

    def __init__(self, url: str, token: str, *, max_wait: float = 1.0) -> None:
        self._url, self._token, self._max_wait = url, token, max_wait
        self._buffer: queue.Queue[Manifest] = queue.Queue(BUFFER_SIZE)
        self._closing = threading.Event()
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(10))
        self._thread = threading.Thread(target=self._run, name="audit webhook", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send what is waiting, each batch tried once, and stop."""
        self._closing.set()
        self._thread.join()
        self._pool.clear()

    def send(self, event: Manifest) -> None:
        """Queue an event."""
        try:
            self._buffer.put_nowait(event)
        except queue.Full:
            logger.warning("the audit buffer is full: an event was dropped")

    def send_all(self, events: Iterable[Manifest]) -> None:
        """Queue events, waiting for room."""
        for event in events:
            self._buffer.put(event)

    def _run(self) -> None:
        while not (self._closing.is_set() and self._buffer.empty()):
            batch = self._collect()
            if batch:
                self._deliver(batch)

    def _collect(self) -> list[Manifest]:
        """Return the next batch: full, or as old as it may get."""
        batch: list[Manifest] = []
        deadline = time.monotonic() + self._max_wait
        while len(batch) < BATCH_SIZE and (remaining := deadline - time.monotonic()) > 0:
            try:
                # Short waits, so that closing is noticed.
                batch.append(self._buffer.get(timeout=min(remaining, 0.1)))
            except queue.Empty:
                if self._closing.is_set():
                    break
                if not batch:
                    deadline = time.monotonic() + self._max_wait
        return batch

    def _deliver(self, batch: list[Manifest]) -> None:
        body = json.dumps(
            {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": batch}
        ).encode()
        pause = _FIRST_PAUSE
        while True:
            answered = self._post(body)
            if answered is not None and answered < 500 and answered != 429:
                if answered >= 300:
                    logger.error("the audit webhook refused %d events with HTTP %d", len(batch), answered)
                return
            if self._closing.wait(pause):
                logger.error("the audit webhook was not reached: %d events are lost", len(batch))
                return
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _post(self, body: bytes) -> int | None:
        """Return the status of the answer, or None where there was none."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            return self._pool.request("POST", self._url, body=body, headers=headers, redirect=False).status
        except urllib3.exceptions.HTTPError as error:
            logger.debug("the audit webhook is not reached: %s", type(error).__name__)
            return None
