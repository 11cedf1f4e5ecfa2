"""Events of objects are delivered by one thread that stays. ministack starts a thread for each, which takes half of the
time in which it stores a photo.
"""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from ministack.services import s3


def install() -> None:
    """Deliver events of buckets that have a notification configuration one after the other."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="object-events")

    def deliver(bucket_name: str, key: str, event_name: str, *details: Any, **named: Any) -> None:
        if bucket_name in s3._bucket_notifications:
            named["sequencer"] = s3._next_event_sequencer(event_name)
            # The request's account and region are in its context.
            thread.submit(copy_context().run, s3._fire_s3_event, bucket_name, key, event_name, *details, **named)

    s3._fire_s3_event_async = deliver
