"""How much of everything `undertone demo` makes, trains and asks, size by size."""

from typing import NamedTuple


class Size(NamedTuple):
    """Clips of each split, speakers who ask the child-safety questions, steps of both roads' training, clips that are analysed, seeds."""

    train: dict[str, int]
    dev: dict[str, int]
    test: dict[str, int]
    safety_speakers: int
    steps: int
    aligned: int
    analysed: int
    seeds: int = 1


SIZES = {
    "small": Size(
        {"age": 160, "gender": 160, "emotion": 240, "content": 80},
        {"age": 20, "gender": 20, "emotion": 30, "content": 10},
        {"age": 40, "gender": 40, "emotion": 60, "content": 40},
        1, 30, 30, 200,
    ),
    "default": Size(
        {"age": 1000, "gender": 1000, "emotion": 1800, "content": 500},
        {"age": 60, "gender": 60, "emotion": 90, "content": 60},
        {"age": 430, "gender": 430, "emotion": 1290, "content": 1040},
        3, 400, 450, 600,
    ),
}  # fmt: skip
SIZES["full"] = SIZES["default"]._replace(seeds=3)
