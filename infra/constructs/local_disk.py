"""Instances whose disks take no key."""

import re


def has_local_disk(instance_type: str) -> bool:
    """Whether the volume is an NVMe disk of the host: encrypted by its hardware, and SageMaker refuses a key for it."""
    family = instance_type.split(".")[1]
    return bool(re.fullmatch(r"[a-z]+\d+[a-z]*d[a-z]*|g[4-9][a-z]*|p[4-9][a-z]*|trn\d[a-z]*", family))
