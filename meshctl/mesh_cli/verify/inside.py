"""The server and the client of `meshctl verify`, which runs this very text inside pods of its own.

So it needs nothing but Python, and is short. `serve CLUSTER PORT` answers each request (four bytes of
length, then so many bytes) with a line of JSON that says whose pod it is, and with the bytes. `call WISH`
makes the calls of a JSON list [{"host", "port", "size", "patience", "times"}] side by side, each again
until it succeeds or its patience in seconds is over, and prints what came of them; `port` 0 only resolves
the name.
"""

import hashlib
import json
import os
import socket
import socketserver
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# Every member may call: of a longer request, or of an answer that has no end of line, nothing is kept.
MOST, LONGEST_LINE = 4 << 20, 4096


class _Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """One request after another."""
        while len(head := self.rfile.read(4)) == 4:
            size = int.from_bytes(head, "big")
            if size > MOST:
                return
            data = self.rfile.read(size)
            who = {"cluster": sys.argv[2], "pod": os.environ.get("HOSTNAME", "")}
            self.wfile.write(json.dumps(who).encode() + b"\n" + data)


def call(host: str, port: int, size: int) -> dict[str, object]:
    """One call; raises OSError, ValueError."""
    addresses = sorted({str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    if port == 0:
        return {"addresses": addresses}
    data = os.urandom(size)
    with (
        socket.create_connection((addresses[0], port), timeout=4.0) as stream,
        stream.makefile("rb") as answer,
    ):
        stream.settimeout(8.0)
        stream.sendall(len(data).to_bytes(4, "big") + data)
        who = json.loads(answer.readline(LONGEST_LINE))
        if hashlib.sha256(answer.read(size)).digest() != hashlib.sha256(data).digest():
            raise ValueError("what came back is not what was sent")
    return {"addresses": addresses, "cluster": who["cluster"]}


def insist(wish: dict[str, object]) -> dict[str, object]:
    """A call until it succeeds, then `times` - 1 more, of which each must."""
    host, port, size = str(wish["host"]), int(str(wish["port"])), int(str(wish["size"]))
    began, failed, left = time.monotonic(), 0, int(str(wish["times"]))
    answer: dict[str, object] = {}
    while left:
        try:
            answer = call(host, port, size)
            left -= 1
        except (OSError, ValueError, KeyError) as error:
            answer = {"error": str(error) or type(error).__name__}
            failed += 1
            if time.monotonic() - began > float(str(wish["patience"])):
                break
        if left:
            time.sleep(0.1)
    return {**answer, "failed": failed, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _Server(("::", int(sys.argv[3])), _Handler).serve_forever()
    wishes = json.loads(sys.argv[2])
    with ThreadPoolExecutor(16) as threads:
        print(json.dumps(list(threads.map(insist, wishes))))
