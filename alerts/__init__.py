"""Triage of Kubernetes audit-log alerts: the folder's listing reads as the life of an event."""
