"""Events of services that ministack does not have, on the account's default EventBridge bus."""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import ministack.app
from ministack.core.responses import request_scope
from ministack.services import eventbridge

from local.emulator.environment import ACCOUNT, REGION


def put_event(source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
    """Offer an event to the rules, as the service `source` does; callable from any thread.

    Through ministack's dispatcher rather than PutEvents, which refuses sources that begin with `aws.`. Rules live in
    the event loop's thread, so an event of another thread is handed over to it; the order of one thread's events stays.
    """
    event = {
        "EventId": str(uuid.uuid4()),
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail, default=str),
        "Resources": list(resources),
        "EventBusName": "default",
        "Time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Account": ACCOUNT,
        "Region": REGION,
    }
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        ministack.app._MAIN_LOOP.call_soon_threadsafe(_dispatch, event)
    else:
        _dispatch(event)


def _dispatch(event: dict[str, Any]) -> None:
    with request_scope(ACCOUNT, REGION):  # rules are kept by account and region
        eventbridge._dispatch_event(event)
