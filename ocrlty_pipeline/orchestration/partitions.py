"""Partitions: image sets (dynamic) × tasks (static)."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

IMAGE_SET = "image_set"
TASK = "task"

image_set_partitions = dg.DynamicPartitionsDefinition(name=IMAGE_SET)


def batch_partitions(task_ids: Sequence[str]) -> dg.MultiPartitionsDefinition:
    """Image sets × tasks; a key reads `image_set|task`."""
    tasks = dg.StaticPartitionsDefinition(list(task_ids))
    return dg.MultiPartitionsDefinition({IMAGE_SET: image_set_partitions, TASK: tasks})


def batch_partition_key(image_set: str, task_id: str) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({IMAGE_SET: image_set, TASK: task_id})


def split_batch_key(partition_key: str | dg.MultiPartitionKey) -> tuple[str, str]:
    """Image set and task of a partition key."""
    if isinstance(partition_key, dg.MultiPartitionKey):
        keys = partition_key.keys_by_dimension
        return keys[IMAGE_SET], keys[TASK]
    image_set, _, task_id = partition_key.rpartition("|")
    return image_set, task_id
