"""Names under which an application's own TLS is passed through (docs/names.md, "Public names").

    meshctl.dev/public: "<port>=<name>[, <port>=<name> ...]"

`<port>` is the name or the number of a TCP port of the Service, `<name>` a DNS name that clients put into
the server_name of their ClientHello. Nobody is authorized at the gateway for these: that is the
application's business, at the end of its own TLS.

1. Names are exact: no wildcards, lower case, two labels or more, RFC 1123, at most 253 characters.
2. No name is an address, or lies in the zone of the services; none counts that lies in the clusterset's
   identity domain (`clashes`, for who knows that domain).
3. What does not read at all withholds the whole export (ruling 26).
"""

import re
from dataclasses import dataclass

from mesh_core.identity import Domain
from mesh_core.names import CLUSTERSET_ZONE

MOST_NAMES = 32
"""Names in one `meshctl.dev/public`."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+", re.ASCII)
_PORT = re.compile(_LABEL, re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class PublicName:
    """`name` leads to `port`, which is a number, or the name of a port of the Service."""

    name: str
    port: int | str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why the annotation cannot be followed, as a clause that says what to do."""

    why: str


def public_names(text: str) -> tuple[PublicName, ...] | Unreadable:
    """What the annotation says, sorted; at least one name."""
    found: dict[str, PublicName] = {}
    entries = [part.strip() for part in text.split(",")]
    if len(entries) > MOST_NAMES:
        return Unreadable(f"has more than {MOST_NAMES} names")
    for entry in entries:
        read = _entry(entry)
        if read is None:
            return Unreadable(f"has the entry {_shown(entry)}; write <port name or number>=<DNS name>")
        if fault := _fault(read.name):
            return Unreadable(f"has the name {_shown(read.name)}, which {fault}; use another one")
        if read.name in found:
            return Unreadable(f"has the name {_shown(read.name)} twice; write it once")
        found[read.name] = read
    return tuple(sorted(found.values(), key=lambda one: one.name))


def clashes(name: str, *, domain: Domain) -> bool:
    """Whether a public name lies in the clusterset's identity domain, whose names are the mesh's own."""
    return name == domain or name.endswith(f".{domain}")


def _entry(text: str) -> PublicName | None:
    port, sign, name = text.partition("=")
    port, name = port.strip(), name.strip()
    if not sign or not _PORT.fullmatch(port):
        return None
    if not port.isdigit():
        return PublicName(name=name, port=port)
    if not _NUMBER.fullmatch(port) or int(port) > 65535:
        return None
    return PublicName(name=name, port=int(port))


def _fault(name: str) -> str:
    """What is wrong with a name, as the end of a sentence; "" when nothing is."""
    if len(name) > 253:
        return "is longer than 253 characters"
    if "*" in name:
        return "is a wildcard: names are exact"
    if not _NAME.fullmatch(name):
        return "is no lower-case DNS name of two labels or more"
    if name.rpartition(".")[2].isdigit():
        return "ends in a number, like an address"
    if name == CLUSTERSET_ZONE or name.endswith(f".{CLUSTERSET_ZONE}"):
        return f"lies in {CLUSTERSET_ZONE}, the zone of the services"
    return ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
