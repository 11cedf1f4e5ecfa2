"""Errors that a person at the terminal can meet, and what AWS's own errors mean to them."""

from typing import Any


class OpsError(Exception):
    """A command cannot go on. The message says what happened, to which object, and what to do."""


_CREDENTIALS = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "AuthFailure",
)
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_LIMITS = ("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException")

RENEW = "renew the credentials (aws sso login, or a new AWS_PROFILE / AWS_ACCESS_KEY_ID) and type the command again"
ASK_QUOTA = (
    "ask for more under Service Quotas in this region (docs/deploy.md names the quotas), or use smaller instances"
)


def code(error: Any) -> str:
    """Error code of a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


def says(error: Any) -> str:
    """Message of a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Message", "")) or code(error)


def explained(error: Exception) -> OpsError | None:
    """What an error of botocore means, as an OpsError; None for an error that is a bug and deserves its traceback."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return OpsError(f"{error.operation_name}: {says(error)} [{code(error)}]{_advice(error)}")
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return OpsError("no AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, exceptions.ProfileNotFound):
        return OpsError(f"{error}; `aws configure list-profiles` shows those that exist, and AWS_PROFILE chooses one")
    if isinstance(error, (exceptions.TokenRetrievalError, exceptions.SSOTokenLoadError)):
        return OpsError(f"{error}; {RENEW}")
    if isinstance(error, exceptions.EndpointConnectionError):
        return OpsError(
            f"{error}; check the network, the region and AWS_ENDPOINT_URL (the laptop: is `make up` running?)"
        )
    if isinstance(error, exceptions.BotoCoreError):
        return OpsError(str(error))
    return None


def _advice(error: Any) -> str:
    if code(error) in _CREDENTIALS:
        return f"; {RENEW}"
    if code(error) in _DENIED:
        return "; docs/deploy.md lists the permissions that a person who operates an environment needs"
    if code(error) in _LIMITS:
        return f"; {ASK_QUOTA}"
    return ""
