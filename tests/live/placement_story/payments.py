"""What runs in a payments pod: answers each connection with the node that it is on, until SIGTERM."""

import asyncio
import os
import signal

PORT = 8080


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        await reader.readline()
        writer.write(f"{os.environ['NODE']}\n".encode())
        await writer.drain()
    except OSError:
        pass  # who called has gone
    finally:
        writer.close()


async def main() -> None:
    """Serve."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await asyncio.start_server(answer, "0.0.0.0", PORT):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
