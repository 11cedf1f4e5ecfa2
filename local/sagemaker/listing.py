"""What all List operations share: filters, order and pages."""

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from local.sagemaker.errors import invalid

Record = Mapping[str, Any]
_PAGE = 10  # what SageMaker returns when nobody says MaxResults; scripts that forget NextToken find out here


def listed(
    records: Iterable[Record],
    request: Record,
    key: str,
    *,
    name: str,
    status: str = "",
    order: str = "Descending",
    by: str = "CreationTime",
    sort_keys: Mapping[str, Callable[[Record], Any]] | None = None,
) -> dict[str, Any]:
    """One page of `records` under `key`, with NextToken when there is more.

    `name` and `status` are the members that NameContains and StatusEquals look at; `by` and `order` are the operation's
    defaults; `sort_keys` are values of SortBy besides CreationTime, Name and Status.
    """
    chosen = [record for record in records if _matches(record, request, name, status)]
    known = {
        "CreationTime": lambda record: record["CreationTime"],
        "Name": lambda record: record[name],
        "Status": lambda record: record[status],
        **(sort_keys or {}),
    }
    chosen.sort(key=known[request.get("SortBy", by)], reverse=request.get("SortOrder", order) == "Descending")
    return page(chosen, request, key, size=_PAGE)


def page(items: list[Any], request: Record, key: str, *, size: int = 100) -> dict[str, Any]:
    """Cut one page out of ordered items; `size` is the operation's default."""
    start = _position(request.get("NextToken"))
    end = start + request.get("MaxResults", size)
    more = {"NextToken": base64.urlsafe_b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return {key: items[start:end], **more}


def _position(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise invalid(f"NextToken {token!r} is not one that an earlier call returned") from error


def _matches(record: Record, request: Record, name: str, status: str) -> bool:
    created, changed = record["CreationTime"], record.get("LastModifiedTime", record["CreationTime"])
    return (
        request.get("NameContains", "").lower() in record[name].lower()
        and ("StatusEquals" not in request or record[status] == request["StatusEquals"])
        and created > _seconds(request.get("CreationTimeAfter", request.get("CreatedAfter")), 0.0)
        and created < _seconds(request.get("CreationTimeBefore", request.get("CreatedBefore")), float("inf"))
        and changed > _seconds(request.get("LastModifiedTimeAfter"), 0.0)
        and changed < _seconds(request.get("LastModifiedTimeBefore"), float("inf"))
    )


def _seconds(value: Any, otherwise: float) -> float:
    if value is None:
        return otherwise
    return value.timestamp() if isinstance(value, datetime) else float(value)
