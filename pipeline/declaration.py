"""The table of parameters as the SDK's objects, which a definition refers to."""

from collections.abc import Mapping
from typing import Any

from pipeline.parameters import DEFAULT_BATCH_SIZE, Parameter, Value, check_together, table
from pipeline.sdk import ParameterFloat, ParameterInteger, ParameterString
from pipeline.search import SearchSpace


class Parameters:
    """Every parameter of the pipeline by name, in the order they are declared.

    `defaults` replaces defaults by name; ValueError names a parameter that there is not, a value it cannot have, or two
    that do not go together. `gpu` as in `pipeline.parameters.table`; `space` is what the tuning job searches, and
    `batch_size` what training jobs get where it does not search that.
    """

    def __init__(
        self,
        space: SearchSpace,
        defaults: Mapping[str, Value] | None = None,
        *,
        gpu: bool = True,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        known = table(gpu=gpu)
        changed = {name: _checked(known, name, value) for name, value in (defaults or {}).items()}
        check_together(changed, space, gpu=gpu, batch_size=batch_size)
        self._declared = {name: _declare(item, changed.get(name, item.default)) for name, item in known.items()}

    def __getitem__(self, name: str) -> Any:
        """The parameter of this name; KeyError when the table has none."""
        return self._declared[name]

    def all(self) -> list[Any]:
        """The parameters in the order they are declared."""
        return list(self._declared.values())


def _checked(known: Mapping[str, Parameter], name: str, value: Value) -> Value:
    if name not in known or known[name].default is None:
        names = ", ".join(key for key, item in known.items() if item.default is not None)
        raise ValueError(f"pipeline setting 'parameters' sets '{name}', which has no default; there are: {names}")
    try:
        return known[name].check(value)
    except ValueError as error:
        raise ValueError(f"pipeline setting 'parameters': {error}") from None


def _declare(item: Parameter, default: Value | None) -> Any:
    if item.kind is int:
        return ParameterInteger(item.name, default)
    if item.kind is float:
        return ParameterFloat(item.name, default)
    return ParameterString(item.name, default, list(item.choices) or None)
