"""Client of the Tally API: photos of warehouse bins in, counts and decisions out.

>>> from pathlib import Path
>>> from tally_client import Client
>>> with Client("https://abc123.execute-api.eu-west-1.amazonaws.com/v1/", api_key=key) as tally:  # doctest: +SKIP
...     answer = tally.predict(photo=Path("bin.jpg"), expected_count=3)
...     print(answer.count, answer.decision)
3 pass
"""

from tally_client.client import BATCH, Client
from tally_client.errors import ApiProblem, NoAnswer, TallyError, UnexpectedAnswer, UsageError
from tally_client.models import Decision, Health, Model, Prediction, Problem, Timings
from tally_client.photos import BODY_LIMIT, Photo
from tally_client.transport import Sign
from tally_client.version import __version__

__all__ = [
    "BATCH",
    "BODY_LIMIT",
    "ApiProblem",
    "Client",
    "Decision",
    "Health",
    "Model",
    "NoAnswer",
    "Photo",
    "Prediction",
    "Problem",
    "Sign",
    "TallyError",
    "Timings",
    "UnexpectedAnswer",
    "UsageError",
    "__version__",
]
