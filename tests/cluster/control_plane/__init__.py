"""A real control plane for tests: etcd, kube-apiserver and kube-controller-manager on loopback."""
