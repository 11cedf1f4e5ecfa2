"""What keeps the emulator from starting or serving."""

from local.errors import LocalError


class EmulatorError(LocalError):
    """The emulator cannot start or go on. The message says what happened and what to do."""
