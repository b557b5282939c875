"""Audit events and the envelopes they come in: plain Python, no I/O."""
