"""What all bodies share: the base of requests and of answers, and the error envelope."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
# Judged by `check_id`, which answers 400 as clients rely on; here for the documentation.
Id = Annotated[str, Field(json_schema_extra={"pattern": ID_PATTERN, "minLength": 1, "maxLength": 128})]

# Judged by `check_webhook_url`.
WebhookUrl = Annotated[
    str, Field(min_length=1, max_length=2048, description="http or https, on port 80 or 443 of a public address.")
]
JOB_WEBHOOK = "Called once when this job has ended, signed with the secret of /v1/webhooks/secret."


class RequestBody(BaseModel):
    """Base of what clients send: types as they stand in JSON, and no field that nobody reads."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, protected_namespaces=(), hide_input_in_errors=True
    )


class Answer(BaseModel):
    """Base of what clients get."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class ErrorBody(Answer):
    """Why a request was refused.

    Attributes:
        code: stable, for programs.
        message: for people.
        details: facts for programs; `errors` lists the fields of a 422.
    """

    code: str
    message: str
    request_id: str
    details: dict[str, Any] | None = None


class ErrorEnvelope(Answer):
    """The body of every answer whose status is 4xx or 5xx."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "code": "unauthorized",
                        "message": "The API key is unknown or revoked: ask the operator for another.",
                        "request_id": "cbd4d4f7ff3d4bb7a2fdbfbde214f5f0",
                        "details": None,
                    }
                }
            ]
        }
    )

    error: ErrorBody
