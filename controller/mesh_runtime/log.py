"""One event, one line on stderr: `time level where sentence key=value ...`.

A program calls `configure()` once, in its `main`; every module makes its log with
`logger(__name__)` and writes `log.info("a sentence", peer="west", exports=3)`.

1. A line never contains a line break, or what a terminal obeys: what a peer or a file brought in is quoted
   as JSON, with everything that cannot be printed escaped (JSON itself lets U+0085, U+009B and U+2028 pass).
2. The layer that handles an error logs it, once; nothing here decides what is worth a line.
3. No secret is looked for or removed here: a field that must not be read is not passed.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

Field = str | int | float | bool | None
# The attribute of a LogRecord under which the fields of an event travel to the formatter.
_FIELDS = "mesh_fields"
# Longest value of a field in characters; the rest of a hostile or careless value is cut.
_LONGEST = 1000
_LONGEST_TRACEBACK = 10_000


def configure(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends every log of this process to `stream` (stderr unless given), from `level` upwards.

    Replaces what an earlier call or a library installed, so that one event stays one line.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    for old in tuple(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Its lines at INFO are one a request; health probes would drown everything else.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


class Log:
    """Where one module writes its events. Fields are keyword arguments, values stay short."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def info(self, sentence: str, **fields: Field) -> None:
        """A change of state that an operator wants to find later."""
        self._write(logging.INFO, sentence, fields, error=None)

    def warning(self, sentence: str, **fields: Field) -> None:
        """Something was refused or failed, and the program goes on."""
        self._write(logging.WARNING, sentence, fields, error=None)

    def error(self, sentence: str, *, error: BaseException | None = None, **fields: Field) -> None:
        """Something is broken that will not mend by itself; with `error`, its traceback."""
        self._write(logging.ERROR, sentence, fields, error=error)

    def _write(
        self,
        level: int,
        sentence: str,
        fields: dict[str, Field],
        *,
        error: BaseException | None,
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", sentence, exc_info=error, extra={_FIELDS: fields})


def logger(name: str) -> Log:
    """The log of the module `name` (its `__name__`)."""
    return Log(logging.getLogger(name))


class _LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO mesh_controller.peers "peer is connected" peer=west`."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Field] = getattr(record, _FIELDS, {})
        parts = [
            when.replace("+00:00", "Z"),
            record.levelname,
            record.name,
            _quoted(record.getMessage()),
        ]
        parts += [f"{name}={_value(value)}" for name, value in fields.items()]
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            parts.append(f"traceback={_quoted(traceback, longest=_LONGEST_TRACEBACK)}")
        return " ".join(parts)


def _value(value: Field) -> str:
    """A field as one word: bare when it is plain, otherwise a JSON string."""
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    plain = value and all(c.isalnum() or c in "-._:/@[]," for c in value)
    return value[:_LONGEST] if plain and value.isascii() else _quoted(value)


def _quoted(text: str, *, longest: int = _LONGEST) -> str:
    cut = text[:longest]
    return msgspec.json.encode(cut).decode() if cut.isprintable() else json.dumps(cut)
