"""Makes TCP connections from where it runs. `meshctl trace` runs this very text inside a mesh-dns pod.

So it needs nothing but Python, and is short. Its argument is JSON: [[address, port, seconds], ...]; for so
many seconds a connection that was taken is watched for its end. Its output is a list in that order of
{"error": text, "ended": whether it was ended meanwhile}. Not one byte is sent.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def knock(address: str, port: int, seconds: float) -> dict[str, str | bool]:
    """One connection."""
    try:
        with socket.create_connection((address, port), timeout=2.0) as stream:
            stream.settimeout(max(0.05, seconds))
            try:
                # A server that speaks first is as good as one that waits.
                return {"error": "", "ended": not stream.recv(1)}
            except TimeoutError:
                return {"error": "", "ended": False}
            except OSError:
                return {"error": "", "ended": True}
    except OSError as error:
        return {"error": str(error) or "no answer", "ended": False}


if __name__ == "__main__":
    with ThreadPoolExecutor(16) as threads:
        print(json.dumps(list(threads.map(lambda one: knock(*one), json.loads(sys.argv[1])))))
