"""The one tree of errors the system raises on purpose, each with a stable code.

    OcrltyError
    ├── ConfigError            a setting is missing or wrong; nothing was started
    ├── InputError             what a person handed in cannot be used
    │   ├── TaskError          a task is unknown or its files are broken
    │   ├── ImageError         one image cannot be read, or exceeds a limit
    │   ├── ImageSetError      a folder, a manifest or an image set's name
    │   └── GroundTruthError   a ground-truth file or its match with an image set
    ├── BackendError           one inference call failed
    │   ├── TransientBackendError      worth the same call again after a pause
    │   ├── BackendMisconfiguredError  no call can succeed until a person acts
    │   ├── ContextTooLongError        a smaller image or token budget may succeed
    │   └── OutputTruncatedError       the answer ended at the token budget
    ├── OutputError            the model's text holds no JSON value
    ├── StorageError           artifacts or database
    │   ├── StorageUnavailableError    disk, bucket or database cannot be reached
    │   ├── ArtifactNotFoundError
    │   └── ArtifactConflictError      the key holds other content
    ├── OutboundError          a URL that somebody named
    │   ├── OutboundRefusedError   its scheme, port or address is none we call
    │   └── OutboundFailedError    called, but no usable answer came
    ├── BusyError              as many requests wait as may; the same one may come again shortly
    └── WorkerDiedError        the process that executed a request ended before it did

A message names the thing, the value and the way out. What HTTP or Dagster make of an error is decided by their own
layers.
"""

from __future__ import annotations

from typing import Any, ClassVar


class OcrltyError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: one sentence for a person: the thing, the value, the way out.
        detail: JSON-serializable facts for a program, without secrets or image bytes.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class ConfigError(OcrltyError):
    code = "config_error"


class InputError(OcrltyError):
    code = "input_error"


class TaskError(InputError):
    code = "task_error"


class ImageError(InputError):
    code = "image_error"


class ImageSetError(InputError):
    code = "image_set_error"


class GroundTruthError(InputError):
    code = "ground_truth_error"


class BackendError(OcrltyError):
    """A permanent failure of one call: the same call would fail again."""

    code = "backend_error"


class TransientBackendError(BackendError):
    """A failure that a later call may not meet.

    Args:
        retry_after_s: how long the server asked to wait, in seconds; None when it did not say.
    """

    code = "backend_unavailable"

    def __init__(
        self, message: str, detail: dict[str, Any] | None = None, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, detail)
        self.retry_after_s = retry_after_s


class BackendMisconfiguredError(BackendError):
    """Wrong address, key or model: a batch stops at the first, since every further call would fail alike."""

    code = "backend_misconfigured"


class ContextTooLongError(BackendError):
    code = "context_too_long"


class OutputTruncatedError(BackendError):
    """The answer ended at the token budget (`finish_reason=length`).

    Args:
        text: the raw text up to the cut; records keep it.
    """

    code = "output_truncated"

    def __init__(self, message: str, detail: dict[str, Any] | None = None, *, text: str = "") -> None:
        super().__init__(message, detail)
        self.text = text


class OutputError(OcrltyError):
    code = "output_not_json"


class StorageError(OcrltyError):
    code = "storage_error"


class StorageUnavailableError(StorageError):
    code = "storage_unavailable"


class ArtifactNotFoundError(StorageError):
    code = "artifact_not_found"


class ArtifactConflictError(StorageError):
    code = "artifact_conflict"


class OutboundError(OcrltyError):
    code = "outbound_error"


class OutboundRefusedError(OutboundError):
    code = "outbound_refused"


class OutboundFailedError(OutboundError):
    code = "outbound_failed"


class BusyError(OcrltyError):
    code = "busy"


class WorkerDiedError(OcrltyError):
    code = "worker_died"
