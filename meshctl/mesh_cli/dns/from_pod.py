"""Asks DNS servers from where it runs. `meshctl dns query` runs this very text inside a mesh-dns pod.

So it needs nothing but Python, and is short. Its argument is JSON: {"packet": hex, "servers": [[address,
port]]}; its output a list in that order of {"reply": hex, "why": text, "ms": number}. UDP first, TCP when the
reply is cut off.
"""

import json
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def ask(server: tuple[str, int], packet: bytes) -> bytes:
    """The reply of one server; raises OSError."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(1.2)
        udp.connect(server)
        for last in (False, True):
            udp.send(packet)
            try:
                reply = udp.recv(65535)
                while reply[:2] != packet[:2]:
                    reply = udp.recv(65535)
                break
            except TimeoutError:
                if last:
                    raise
    if len(reply) < 3 or not reply[2] & 2:
        return reply
    with socket.create_connection(server, timeout=1.2) as tcp, tcp.makefile("rb") as stream:
        tcp.sendall(struct.pack("!H", len(packet)) + packet)
        return stream.read(struct.unpack("!H", stream.read(2))[0])


def asked(server: tuple[str, int], packet: bytes) -> dict[str, str | float]:
    """The same as what is printed."""
    began = time.monotonic()
    try:
        reply, why = ask(server, packet), ""
    except (OSError, struct.error) as error:
        reply, why = b"", str(error) or "it does not answer"
    return {"reply": reply.hex(), "why": why, "ms": (time.monotonic() - began) * 1000}


if __name__ == "__main__":
    wish = json.loads(sys.argv[1])
    with ThreadPoolExecutor(8) as threads:
        packet = bytes.fromhex(wish["packet"])
        print(
            json.dumps(
                list(threads.map(lambda server: asked((server[0], server[1]), packet), wish["servers"]))
            )
        )
