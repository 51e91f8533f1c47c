"""The stub for `clusterset.local` in cluster DNS's Corefile, as text.

Laws:

1. `without_stub(with_stub(text, ...)) == text` for every text without a stub of ours, to the last byte.
2. `with_stub` twice is `with_stub` once; a new address replaces the old one.
3. What other people wrote is never touched: our block stands first, between two marked lines.

The block has no `cache`: our answers carry their own time to live, and a withdrawn import must not live on
in a cache that nobody told. Order of server blocks means nothing to CoreDNS (its manual, "Server Blocks").
"""

import re
from dataclasses import dataclass

from mesh_core.errors import UserError
from mesh_core.names import CLUSTERSET_ZONE

BEGIN = "# meshctl begin"
END = "# meshctl end"

# Our block is at the head of the file, so its last line always ends in a newline: law 1 needs that.
_STUB = re.compile(rf"^{re.escape(BEGIN)}\n(?:.*\n)*?{re.escape(END)}\n", re.MULTILINE)
_ZONE_OF_A_BLOCK = re.compile(r"^(?!\s*#)(?P<keys>[^\s{].*?)\{\s*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ZoneBlock:
    """What a server block does: its plugins, in order, and where `forward` sends the questions."""

    plugins: tuple[str, ...]
    targets: tuple[str, ...]


class ZoneTaken(UserError):
    """The Corefile serves the clusterset zone by itself already."""

    def __init__(self) -> None:
        super().__init__(
            f"the Corefile already has a server block for {CLUSTERSET_ZONE} that meshctl did not write",
            next_step="remove that block from ConfigMap kube-system/coredns and run join again",
        )


def stub(address: str) -> str:
    """The block that sends the clusterset zone to the DNS server at `address` (an IP, port 53).

    No cache, so that a change shows at once. There is one address, a Service's: to call it unhealthy
    (max_fails) would only make CoreDNS refuse while another pod behind it may answer.
    """
    return "\n".join(
        (
            BEGIN,
            f"{CLUSTERSET_ZONE}:53 {{",
            "    errors",
            f"    forward . {address} {{",
            "        max_fails 0",
            "    }",
            "}",
            END,
            "",
        )
    )


def with_stub(text: str, *, address: str) -> str:
    """`text` with our block for `address`; raises ZoneTaken when somebody else serves the zone."""
    rest = without_stub(text)
    if _serves_zone(rest):
        raise ZoneTaken
    return stub(address) + rest


def without_stub(text: str) -> str:
    """`text` without any block of ours."""
    return _STUB.sub("", text)


def reloads(text: str) -> bool:
    """Whether CoreDNS takes up a changed Corefile by itself."""
    return re.search(r"^\s*reload\b", text, re.MULTILINE) is not None


def zone_block(text: str) -> ZoneBlock | None:
    """The first block that serves the clusterset zone, whoever wrote it; None when there is none."""
    for head in _ZONE_OF_A_BLOCK.finditer(text):
        if CLUSTERSET_ZONE in _zones(head["keys"]):
            return _block(text[head.end() :])
    return None


def _block(text: str) -> ZoneBlock:
    """The block whose opening brace has just been read."""
    plugins: list[str] = []
    targets: list[str] = []
    depth = 1
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if depth == 1 and words and words[0] != "}":
            plugins.append(words[0])
            if words[0] == "forward":
                targets += [word for word in words[2:] if word != "{"]
        depth += words.count("{") - words.count("}")
        if depth <= 0:
            break
    return ZoneBlock(tuple(plugins), tuple(targets))


def _serves_zone(text: str) -> bool:
    return any(CLUSTERSET_ZONE in _zones(block["keys"]) for block in _ZONE_OF_A_BLOCK.finditer(text))


def _zones(keys: str) -> set[str]:
    """The zones that stand before the brace of a block."""
    return {
        re.sub(r"^[a-z]+://|:\d+$", "", key.strip().lower()).rstrip(".")
        for key in re.split(r"[\s,]+", keys.strip())
    }
