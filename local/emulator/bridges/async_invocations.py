"""EventBridge invokes a function asynchronously: Lambda tries a failed event twice more and then sends it to the
function's failure destination. ministack has that for S3 and SNS; its EventBridge calls the function once and forgets.
"""

import json
import logging
from typing import Any

from ministack.services import eventbridge, lambda_svc

_logger = logging.getLogger("tally.events")


def install() -> None:
    """Deliver events of rules and schedules to functions as Lambda's event invocations."""
    eventbridge._dispatch_to_lambda = _deliver


def _deliver(arn: str, payload: str) -> None:
    event: Any = json.loads(payload)
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        _logger.error("an event for the function %s is lost: there is no such function", name)
        return
    # The stored record, not the execution record of a version: the failure destination is kept there.
    lambda_svc.invoke_async_with_retry(function, event)
