"""The program that asks from inside a pod, run as it runs there: as text, with nothing but Python."""

import inspect
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mesh_cli.dns import from_pod
from mesh_cli.dns.reply import query_for, reply_of
from mesh_dns.answer import Transport, respond
from mesh_dns.table import Table

QUERY = query_for("dns-version.clusterset.local", type_="TXT")


def served(packet: bytes, transport: Transport) -> bytes:
    table = Table()
    table.complete = True
    return respond(packet, table=table, transport=transport) or b""


@contextmanager
def server(over_udp: Callable[[bytes], bytes]) -> Iterator[int]:
    """A DNS server on a port of its own: over UDP by `over_udp`, over TCP rightly."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))

        def serve_udp() -> None:
            packet, asker = udp.recvfrom(4096)
            udp.sendto(b"\0\0an old reply", asker)
            udp.sendto(over_udp(packet), asker)

        def serve_tcp() -> None:
            with tcp.accept()[0] as stream:
                packet = stream.recv(4096)[2:]
                reply = served(packet, Transport.TCP)
                stream.sendall(len(reply).to_bytes(2) + reply)

        for serve in (serve_udp, serve_tcp):
            threading.Thread(target=serve, daemon=True).start()
        yield port


def asked(*ports: int) -> list[dict[str, Any]]:
    wish = {"packet": QUERY.packet().hex(), "servers": [["127.0.0.1", port] for port in ports]}
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", inspect.getsource(from_pod), json.dumps(wish)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_each_server_is_asked_and_one_that_is_not_there_hides_no_other() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as unused,
        server(lambda one: served(one, Transport.UDP)) as port,
    ):
        unused.bind(("127.0.0.1", 0))
        dead = unused.getsockname()[1]
        unused.close()
        good, silent = asked(port, dead)
    assert reply_of(bytes.fromhex(good["reply"]), query=QUERY).records == ('"1.0.0"',)
    assert (silent["reply"], "refused" in silent["why"]) == ("", True)


def test_what_is_cut_off_is_asked_again_over_tcp() -> None:
    def cut(packet: bytes) -> bytes:
        whole = bytearray(served(packet, Transport.UDP))
        whole[2] |= 2
        return bytes(whole)

    with server(cut) as port:
        [found] = asked(port)
    reply = reply_of(bytes.fromhex(found["reply"]), query=QUERY)
    assert reply.records == ('"1.0.0"',)
    assert not bytes.fromhex(found["reply"])[2] & 2


def test_the_program_is_short_enough_to_be_a_word_of_a_command() -> None:
    assert len(inspect.getsource(from_pod)) < 2500
