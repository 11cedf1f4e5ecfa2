"""The SageMaker pipeline definition of Tally: one JSON that CloudFormation deploys and the laptop executes.

    python -m pipeline              print the definition for example settings
    python -m pipeline --validate   check it against SageMaker's API model

`pipeline.settings` says what is deployed where, `pipeline.definition` builds the JSON, `pipeline.validate` checks it.
Importing this package is cheap; only building loads the SageMaker SDK, which takes seconds.
"""

from typing import Any

from pipeline.settings import PipelineSettings


def build(settings: PipelineSettings) -> dict[str, Any]:
    """Return the definition as data; see `pipeline.definition.build`."""
    from pipeline import definition

    return definition.build(settings)


def dumps(settings: PipelineSettings, indent: int | None = None) -> str:
    """Return the definition as JSON text; see `pipeline.definition.dumps`."""
    from pipeline import definition

    return definition.dumps(settings, indent)
