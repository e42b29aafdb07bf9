"""What a recipe says of clips once it has listened: what was converted, what is unusable, what the store has no room for."""

import logging
from pathlib import Path

from undertone.recipes.sounds import Sounds
from undertone.run import Journal


def warn(lost: int, sounds: Sounds, rejected: Journal, ours: bool) -> None:
    """Say what was converted, and that `lost` clips were turned away."""
    if ours:  # the reader of another's manifest has opened, counted and warned already
        sounds.counts.warn(sounds.data.folder, sounds.model.sample_rate)
    turned_away(lost, rejected)


def turned_away(clips: int, rejected: Journal) -> None:
    """Say that so many clips cannot be used."""
    if clips:
        logging.getLogger(__name__).warning("%d clips cannot be used; %s says why", clips, rejected.path)


def no_room(clips: int, of: int, folder: Path) -> None:
    """Say that so many clips are not kept in the store at `folder`."""
    logging.getLogger(__name__).warning(
        "%d of %d clips go through the tower whenever they are asked for: with them %s would be larger than features_gb; raise it, or "
        "delete the folders in there that other models left",
        clips, of, folder,
    )  # fmt: skip
