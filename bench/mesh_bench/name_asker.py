"""Asks servers for the addresses of one name, over and over, and tells each answer that is a new one.

    python -m mesh_bench.name_asker NAME LABEL=ADDRESS...

Runs in the network of a pod. Every question leaves from a port of its own, so that what balances by
connection spreads them over all replicas. A line of standard output is a Turn; at the end of its standard
input it stops and writes a Tally for each server.
"""

import secrets
import select
import socket
import sys
import time
from dataclasses import dataclass, field

import msgspec
from dnslib import QTYPE, RCODE, DNSError, DNSRecord

from mesh_bench.name_turns import Tally, Turn

EVERY = 0.005
"""Seconds between the beginnings of two rounds."""
LIMIT = 0.5
"""Seconds for an answer; a pod's resolver would wait for 5."""
_DENIED = {RCODE.NXDOMAIN: "NXDOMAIN", RCODE.SERVFAIL: "SERVFAIL", RCODE.REFUSED: "REFUSED"}


@dataclass(slots=True)
class Asked:
    """One server, and what it said last."""

    label: str
    address: str
    said: tuple[str, ...] | None = None
    questions: int = field(default=0)
    lost: int = field(default=0)


def main() -> None:
    """Until standard input ends."""
    name, *servers = sys.argv[1:]
    asked = [Asked(label, address) for label, _, address in (server.partition("=") for server in servers)]
    while not select.select([sys.stdin], [], [], 0)[0]:
        began = time.monotonic()
        for one in asked:
            _ask(one, name)
        time.sleep(max(0.0, began + EVERY - time.monotonic()))
    for one in asked:
        _tell(Tally(one.label, one.questions, one.lost))


def _ask(one: Asked, name: str) -> None:
    one.questions += 1
    question = DNSRecord.question(name, "A")
    question.header.id = secrets.randbelow(1 << 16)
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(LIMIT)
        try:
            asking.connect((one.address, 53))
            asking.send(question.pack())
            reply = asking.recv(4096)
            got = time.monotonic()
            answer = DNSRecord.parse(reply)
        except (OSError, DNSError):
            one.lost += 1
            return
    if answer.header.id != question.header.id:
        one.lost += 1
        return
    said = _said(answer)
    if said != one.said:
        one.said = said
        _tell(Turn(one.label, began, got, said))


def _said(answer: DNSRecord) -> tuple[str, ...]:
    if answer.header.rcode != RCODE.NOERROR:
        return (_DENIED.get(answer.header.rcode, "OTHER"),)
    return tuple(sorted(str(record.rdata) for record in answer.rr if record.rtype == QTYPE.A))


def _tell(what: Turn | Tally) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
