"""The client of `meshctl bench`, which runs this very text inside a pod of `meshctl verify`'s kind.

So it needs nothing but Python, and is short. Its argument is JSON {"host", "port", "seconds", "streams"}.
Against the server of `verify/inside.py` it measures, each for so many seconds: round trips of 64 bytes on
one connection, new connections with one such round trip each on so many threads, and bytes on so many
connections, in requests of 256 KiB that come back. It prints one object of JSON.
"""

import json
import os
import socket
import sys
import threading
import time

SMALL, LARGE = 64, 256 * 1024


def exchange(stream: socket.socket, data: bytes) -> None:
    """One request and its whole answer; raises OSError."""
    stream.sendall(len(data).to_bytes(4, "big") + data)
    buffer = bytearray()
    while (end := buffer.find(b"\n")) < 0 or len(buffer) < end + 1 + len(data):
        part = stream.recv(262144)
        if not part:
            raise ConnectionError("the server ended the connection")
        buffer += part


def connected(where: tuple[str, int]) -> socket.socket:
    """A connection without waits for more to send."""
    stream = socket.create_connection(where, timeout=5.0)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def round_trips(where: tuple[str, int], seconds: float) -> list[float]:
    """Seconds of each, one after the other."""
    took: list[float] = []
    end = time.monotonic() + seconds
    data = os.urandom(SMALL)
    with connected(where) as stream:
        while (began := time.monotonic()) < end and len(took) < 100_000:
            exchange(stream, data)
            took.append(time.monotonic() - began)
    return took


def side_by_side(work: list[threading.Thread]) -> float:
    """Seconds that all of them took together."""
    began = time.monotonic()
    for one in work:
        one.start()
    for one in work:
        one.join()
    return time.monotonic() - began


def connections(where: tuple[str, int], seconds: float, streams: int) -> tuple[list[float], int, float]:
    """(seconds of each new connection and its round trip, how many failed, seconds in all)."""
    took: list[float] = []
    failed: list[str] = []

    def work() -> None:
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end and len(took) < 100_000:
            try:
                with connected(where) as stream:
                    exchange(stream, b"x" * SMALL)
                took.append(time.monotonic() - began)
            except OSError as error:
                failed.append(str(error))
                time.sleep(0.01)

    spent = side_by_side([threading.Thread(target=work) for _ in range(streams)])
    return took, len(failed), spent


def throughput(where: tuple[str, int], seconds: float, streams: int) -> tuple[int, int, float]:
    """(bytes that went and came back, how many connections failed, seconds in all)."""
    counts: list[int] = []
    failed: list[str] = []

    def work() -> None:
        data, end, count = os.urandom(LARGE), time.monotonic() + seconds, 0
        try:
            with connected(where) as stream:
                while time.monotonic() < end:
                    exchange(stream, data)
                    count += len(data)
        except OSError as error:
            failed.append(str(error))
        counts.append(count)

    spent = side_by_side([threading.Thread(target=work) for _ in range(streams)])
    return sum(counts), len(failed), spent


def part(values: list[float], share: float) -> float:
    """The value below which that share of them lies; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def measured(wish: dict[str, object]) -> dict[str, object]:
    """All three; raises OSError."""
    host, port = str(wish["host"]), int(str(wish["port"]))
    seconds, streams = float(str(wish["seconds"])), int(str(wish["streams"]))
    where = (str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]), port)
    took = round_trips(where, seconds)
    opened, refused, opening = connections(where, seconds, streams)
    count, broken, sending = throughput(where, seconds, streams)
    return {
        "roundTrips": {"count": len(took), "p50": part(took, 0.5), "p99": part(took, 0.99)},
        "connections": {
            "count": len(opened),
            "failed": refused,
            "perSecond": len(opened) / opening,
            "p50": part(opened, 0.5),
            "p99": part(opened, 0.99),
        },
        "throughput": {"bytes": count, "failed": broken, "bitsPerSecond": 8 * count / sending},
    }


if __name__ == "__main__":
    try:
        print(json.dumps(measured(json.loads(sys.argv[1]))))
    except OSError as error:
        print(json.dumps({"error": str(error) or type(error).__name__}))
