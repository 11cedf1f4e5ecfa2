"""What ministack 1.5.33 does otherwise than AWS and this platform depends on, mended one by one.

Each module has `install()`, which replaces private names of ministack and says why. Called once, before serving.
"""

from local.emulator.bridges import (
    async_invocations,
    event_targets,
    object_events,
    proxied_functions,
    request_validators,
    settled_stacks,
    stack_events,
)


def install() -> None:
    """Mend ministack in this process."""
    for bridge in (
        async_invocations,
        event_targets,
        object_events,
        proxied_functions,
        request_validators,
        settled_stacks,
        stack_events,
    ):
        bridge.install()
