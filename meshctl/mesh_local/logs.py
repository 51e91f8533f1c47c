"""The line of a server's log that says why it does not work."""

import re
from contextlib import suppress
from pathlib import Path

import msgspec

from mesh_local.errors import ComponentFault

# Enough for the usage text that a server prints after a bad flag.
_TAIL_BYTES = 64 * 1024
_LONGEST = 300

# How servers say that something is wrong; `said` is the part for a person. klog (Kubernetes), zap in JSON
# (etcd), logrus (containerd), and what Go programs print when they give up.
_ERRORS = (
    re.compile(r"^[EF]\d{4} [^\]]*\] (?P<said>.*)"),
    re.compile(r'^(?P<zap>\{.*"level":"(?:error|fatal|panic)".*\})$'),
    re.compile(r'\blevel=(?:error|fatal|panic) msg=(?P<said>"(?:[^"\\]|\\.)*".*)'),
    re.compile(r"^(?P<said>(?:[Ee]rror|panic|fatal)\b.*)"),
)


class _Zap(msgspec.Struct):
    msg: str = ""
    error: str = ""


def last_error(text: str) -> str:
    """What the last line of a log that reports an error says; else the last line; else nothing."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        if said := _error(line):
            return said[:_LONGEST]
    return lines[-1][:_LONGEST] if lines else ""


def _error(line: str) -> str:
    for pattern in _ERRORS:
        if (found := pattern.search(line)) is None:
            continue
        if "zap" not in pattern.groupindex:
            return found["said"]
        # The line may be cut off or hold anything: then it is shown as it is.
        with suppress(msgspec.DecodeError):
            zap = msgspec.json.decode(line, type=_Zap)
            return ": ".join(filter(None, (zap.msg, zap.error)))
        return line
    return ""


def component_fault(what: str, *, log: Path) -> ComponentFault:
    """The error for a component; `what` says which, where, and what became of it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            reason = last_error(file.read().decode(errors="replace"))
    except FileNotFoundError:
        reason = ""
    said = f": {reason}" if reason else ""
    return ComponentFault(f"{what}{said}", next_step=f"read {log}")
