"""What holds for every test.

No event loop is there unless a test brings one. looptime asks the policy for a loop around every test;
Python 3.11 would then make one, which nobody closes, and the warning would fail whatever test runs when
it is collected. A policy that was told "no loop" makes none.

No example of hypothesis has a deadline: how long one takes says how busy the machine is.
"""

import asyncio

import hypothesis

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
asyncio.set_event_loop(None)
