"""The signals by which a program is told to end."""

import asyncio
import signal

_ENDING = (signal.SIGTERM, signal.SIGINT)


def stop_at_signal(*, second_ends: bool = False) -> asyncio.Event:
    """An event of the running loop that the first SIGTERM or SIGINT to this process sets.

    With `second_ends` the next one has its default effect; without, it has none.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def end() -> None:
        stop.set()
        if second_ends:
            for number in _ENDING:
                loop.remove_signal_handler(number)

    for number in _ENDING:
        loop.add_signal_handler(number, end)
    return stop
