"""Signatures for an API whose operators set `api.auth` to `iam`. Needs botocore: pip install 'tally-client[iam]'."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

from tally_client.errors import UsageError


class Signer:
    """Signs requests with AWS Signature Version 4 for `execute-api`; give it to Client as `sign`.

    `session`: botocore's or boto3's, else one of AWS_PROFILE, the environment and so on. `region`: else that of the
    session. UsageError without region or credentials.
    """

    def __init__(self, session: Any = None, region: str | None = None):
        found = region or (os.environ.get("AWS_REGION") if session is None else None)
        session = session or Session()
        found = found or _region(session)
        if not found:
            raise UsageError("no region to sign for: give region, or set AWS_REGION or AWS_DEFAULT_REGION")
        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise UsageError("no AWS credentials to sign with: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret")
        self._region = str(found)

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers with a signature; temporary credentials are renewed when they must be."""
        request = AWSRequest(method, url, dict(headers), body)
        SigV4Auth(self._credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(request)
        return dict(request.headers.items())


def _region(session: Any) -> str | None:
    """boto3 sessions know their region by another name than botocore's."""
    known = hasattr(session, "region_name")
    region: str | None = session.region_name if known else session.get_config_variable("region")
    return region
