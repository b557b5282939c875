"""The practice cluster: a small server that speaks the Kubernetes API, for demos, training and tests.

It keeps roles, bindings, accounts and workloads in memory, authorises by them as Kubernetes does, and sends audit
events. It runs nothing and enforces no admission policy. The contract tests say what it shares with a real API server.
"""
