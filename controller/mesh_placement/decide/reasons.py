"""The closed list of reasons in what we say of Works, their objects and Assignments."""

from enum import StrEnum


class Reason(StrEnum):
    """Of conditions Applied, Available, Degraded and Drifted."""

    APPLIED = "Applied"
    REMOVING = "Removing"
    WAITING = "Waiting"
    CONFLICT = "Conflict"
    SECRET_IN_WORK = "SecretInWork"
    OVERRIDE_FAILED = "OverrideFailed"
    INVALID = "Invalid"
    FORBIDDEN = "Forbidden"
    FAILED = "Failed"
    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"
    CHANGED_BY_ANOTHER = "ChangedByAnother"
