"""The land of the story; for these files alone."""

from collections.abc import Iterator

import pytest

from live.placement_story.land import Land, land


@pytest.fixture(scope="package")
def story_land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    """A hub and three members, registered and linked, on which nothing runs yet."""
    with land(tmp_path_factory.mktemp("story")) as made:
        yield made
