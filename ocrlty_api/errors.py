"""What the API answers with instead of a result: one tree, each class with its status and its stable code.

    ApiError
    ├── BadRequestError        400  the request cannot be read: its path, its JSON, its headers
    ├── BadMultipartError      400  an upload's body cannot be read
    ├── UnauthorizedError      401  no key, or none that is known
    ├── ForbiddenError         403  the key lacks a scope
    ├── NotFoundError          404  no such thing, or none of the asker's
    ├── MethodNotAllowedError  405
    ├── RequestTimeoutError    408  the next piece of the body did not come
    ├── ConflictError          409  the id is in use with other content, or what it names is
    │   └── JobNotEndedError          there is nothing to give before the job's end
    ├── PayloadTooLargeError   413
    ├── UnsupportedMediaTypeError 415
    ├── ValidationFailedError  422  fields of the request cannot be used; `details.errors` lists them
    │   └── InvalidFieldError         one field
    │       └── ImageUrlUnreachableError  nothing usable came from the URL
    ├── TooManyRequestsError   429
    │   ├── RateLimitedError         too many requests within a time
    │   └── QuotaExceededError       the day's images are used up
    ├── InternalError          500  a fault of ours, whose words stand in the log only
    └── UnavailableError       503  something the request needs is away or busy; it may come again
        └── DagsterUnavailableError   jobs cannot be submitted

Belongs here: the API's own errors. Does not: what the domain's errors mean in HTTP, or how an answer is written.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ocrlty_pipeline.errors import OcrltyError


class ApiError(OcrltyError):
    """Base of what a handler refuses with; `detail` becomes the envelope's `details`."""

    status: ClassVar[int] = 500

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer beside the usual ones."""
        return {}


class BadRequestError(ApiError):
    """The request cannot be read."""

    code = "bad_request"
    status = 400


class UnauthorizedError(ApiError):
    """No API key, or none that is known."""

    code = "unauthorized"
    status = 401

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="ocrlty"'}


class ForbiddenError(ApiError):
    """The key lacks a scope, or the service its debug mode, or a pepper for webhooks."""

    code = "forbidden"
    status = 403


class BadMultipartError(ApiError):
    """An upload's body cannot be read."""

    code = "bad_multipart"
    status = 400


class NotFoundError(ApiError):
    """There is no such thing, or it is not yours."""

    code = "not_found"
    status = 404


class MethodNotAllowedError(ApiError):
    """The path does not take this method.

    Args:
        allowed: the methods that the path takes.
    """

    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str, *, allowed: str = "") -> None:
        super().__init__(message)
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": self.allowed}


class ConflictError(ApiError):
    """The id is in use with other content, or what it names is in use."""

    code = "conflict"
    status = 409


class JobNotEndedError(ConflictError):
    code = "job_not_ended"


class RequestTimeoutError(ApiError):
    """The body came too slowly."""

    code = "request_timeout"
    status = 408


class PayloadTooLargeError(ApiError):
    """More bytes or files than are taken."""

    code = "payload_too_large"
    status = 413


class UnsupportedMediaTypeError(ApiError):
    """The body is declared to be of a type that is not taken."""

    code = "unsupported_media_type"
    status = 415


class ValidationFailedError(ApiError):
    """Fields of the request cannot be used; `details.errors` lists them.

    Args:
        errors: `type`, `loc`, `msg` and `input` of each field, as pydantic has them.
    """

    code = "validation_error"
    status = 422

    def __init__(self, message: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(message, {"errors": errors})


class InvalidFieldError(ValidationFailedError):
    """One field of the body is to blame; `details.errors` names it as a failed validation of the schema would.

    Args:
        field: its name within the body.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, [{"type": self.code, "loc": ["body", field], "msg": message}])
        self.field = field


class ImageUrlUnreachableError(InvalidFieldError):
    """Nothing usable came from the URL."""

    code = "image_url_unreachable"


class TooManyRequestsError(ApiError):
    """
    Args:
        retry_after_s: whole seconds after which the same request may succeed; None when it never can.
    """

    status = 429

    def __init__(self, message: str, detail: dict[str, Any] | None = None, *, retry_after_s: int | None = None) -> None:
        super().__init__(message, detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class RateLimitedError(TooManyRequestsError):
    """Too many requests within a time."""

    code = "rate_limited"


class QuotaExceededError(TooManyRequestsError):
    """The day's images are used up."""

    code = "quota_exceeded"


class InternalError(ApiError):
    """A fault of the service, whose words stand in its log only."""

    code = "internal_error"
    status = 500


class UnavailableError(ApiError):
    """Something the request needs is away or busy.

    Args:
        retry_after_s: whole seconds after which the same request may succeed.
    """

    code = "unavailable"
    status = 503

    def __init__(self, message: str, detail: dict[str, Any] | None = None, *, retry_after_s: int = 1) -> None:
        super().__init__(message, detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class DagsterUnavailableError(UnavailableError):
    code = "dagster_unavailable"


class LaunchUnknownError(DagsterUnavailableError):
    """Dagster's webserver was asked, and did not say what became of it: the run may be in the queue."""
