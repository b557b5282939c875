"""The Kubernetes API, as far as Rolecall needs it, and a practice cluster that speaks it."""
