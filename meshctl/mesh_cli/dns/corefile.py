"""The stub for `clusterset.local` in cluster DNS's Corefile, as text.

Laws:

1. `without_stub(with_stub(text, ...)) == text` for every text without a stub of ours, to the last byte.
2. `with_stub` twice is `with_stub` once; new addresses replace the old ones.
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
    """What a server block does: its plugins, in order, where `forward` sends the questions, and where it
    listens.
    """

    plugins: tuple[str, ...]
    targets: tuple[str, ...]
    bound: tuple[str, ...] = ()


class ZoneTaken(UserError):
    """The Corefile serves the clusterset zone by itself already."""

    def __init__(self) -> None:
        super().__init__(
            f"the Corefile already has a server block for {CLUSTERSET_ZONE} that meshctl did not write",
            next_step="remove that block from ConfigMap kube-system/coredns and run join again",
        )


def stub(*addresses: str) -> str:
    """The block that sends the clusterset zone to the DNS server at `addresses` (IPs, port 53): a Service's,
    one of each family that it has.

    No cache, so that a change shows at once. To call an address unhealthy (max_fails) would only make CoreDNS
    refuse while another pod behind it may answer. Of two the first is asked, and the other when it does not
    answer: which family works between pods here, nobody knows before.
    """
    return "\n".join(
        (
            BEGIN,
            f"{CLUSTERSET_ZONE}:53 {{",
            "    errors",
            f"    forward . {' '.join(addresses)} {{",
            "        max_fails 0",
            *(["        policy sequential"] if len(addresses) > 1 else []),
            "    }",
            "}",
            END,
            "",
        )
    )


def with_stub(text: str, *, addresses: tuple[str, ...]) -> str:
    """`text` with our block for `addresses`; raises ZoneTaken when somebody else serves the zone."""
    rest = without_stub(text)
    if _serves_zone(rest):
        raise ZoneTaken
    return stub(*addresses) + rest


def stub_addresses(text: str) -> tuple[str, ...]:
    """Where our block sends the zone; none when there is no block of ours."""
    found = _STUB.search(text)
    block = zone_block(found[0]) if found is not None else None
    return block.targets if block is not None else ()


def serves_multicluster(text: str) -> bool:
    """Whether CoreDNS answers the clusterset zone by itself: the option `multicluster` of its plugin
    `kubernetes`, or the external plugin of that name, which without zones takes those of its
    block.
    """
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["multicluster"] and CLUSTERSET_ZONE in _zones(" ".join(words[1:])):
            return True
    block = zone_block(text)
    return block is not None and "multicluster" in block.plugins


def without_stub(text: str) -> str:
    """`text` without any block of ours."""
    return _STUB.sub("", text)


def reloads(text: str) -> bool:
    """Whether CoreDNS takes up a changed Corefile by itself."""
    return re.search(r"^\s*reload\b", text, re.MULTILINE) is not None


def zone_block(text: str, *, zone: str = CLUSTERSET_ZONE) -> ZoneBlock | None:
    """The first block that serves the zone, whoever wrote it; None when there is none."""
    for head in _ZONE_OF_A_BLOCK.finditer(text):
        if zone in _zones(head["keys"]):
            return _block(text[head.end() :])
    return None


def _block(text: str) -> ZoneBlock:
    """The block whose opening brace has just been read."""
    plugins: list[str] = []
    targets: list[str] = []
    bound: list[str] = []
    depth = 1
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if depth == 1 and words and words[0] != "}":
            plugins.append(words[0])
            if words[0] == "forward":
                targets += [word for word in words[2:] if word != "{"]
            elif words[0] == "bind":
                bound += words[1:]
        depth += words.count("{") - words.count("}")
        if depth <= 0:
            break
    return ZoneBlock(tuple(plugins), tuple(targets), tuple(bound))


def _serves_zone(text: str) -> bool:
    return any(CLUSTERSET_ZONE in _zones(block["keys"]) for block in _ZONE_OF_A_BLOCK.finditer(text))


def _zones(keys: str) -> set[str]:
    """The zones that stand before the brace of a block."""
    return {
        re.sub(r"^[a-z]+://|:\d+$", "", key.strip().lower()).rstrip(".")
        for key in re.split(r"[\s,]+", keys.strip())
    }
