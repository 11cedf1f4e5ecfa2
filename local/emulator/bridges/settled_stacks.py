"""A change set's execution is answered when its stack has settled, if that is soon.

AWS answers at once and works on. But the CDK CLI looks at a stack only every five seconds, and most of ours are there
in less than one: `cdk deploy` would wait more than it works.
"""

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

_LONGEST_SECONDS = 4.0
_begun: ContextVar[list[asyncio.Event]] = ContextVar("work on stacks that a request has begun")


def install() -> None:
    """Let ExecuteChangeSet wait for the work that it begins."""
    handle, begin = cloudformation.handle_request, stacks._create_stack_task_in_region

    async def handle_and_wait(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> tuple[Any, ...]:
        work: list[asyncio.Event] = []
        _begun.set(work)
        answer: tuple[Any, ...] = await handle(method, path, headers, body, query_params)
        if work and b"Action=ExecuteChangeSet" in body:
            ends = asyncio.gather(*(ended.wait() for ended in work))
            await asyncio.wait([ends], timeout=_LONGEST_SECONDS)
            ends.cancel()
        return answer

    def begin_and_tell(coroutine: Coroutine[Any, Any, Any], *arguments: Any, **named: Any) -> None:
        ended = asyncio.Event()
        _begun.get([]).append(ended)

        async def until_its_end() -> None:
            try:
                await coroutine
            finally:
                ended.set()

        begin(until_its_end(), *arguments, **named)

    cloudformation.handle_request = handle_and_wait
    for name, module in list(sys.modules.items()):  # other modules imported the function by its name
        ours = name.startswith("ministack.services.cloudformation")
        if ours and getattr(module, "_create_stack_task_in_region", None) is begin:
            module._create_stack_task_in_region = begin_and_tell  # type: ignore[attr-defined]  # as in stack_events
