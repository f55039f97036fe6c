"""Dagster's launcher for Kubernetes beside the online lane, named in `deploy/k8s`; needs the extra."""

from __future__ import annotations

from dagster_k8s import K8sRunLauncher

from ocrlty_pipeline.orchestration.warm.health import WithWarmRuns


class K8sLauncher(WithWarmRuns, K8sRunLauncher):
    """Each run is a job of the cluster, but for those of warm workers."""
