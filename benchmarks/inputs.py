"""Write the text that the flows count the words of; the same on every run."""

import itertools
import random
import string
from pathlib import Path

SEED = 20_000
VOCABULARY = 20_000
WORDS_PER_LINE = 10


def vocabulary(size: int) -> list[str]:
    """Different words of 2 to 10 letters, in the order of how common they will be."""
    chance = random.Random(SEED)
    words: dict[str, None] = {}
    while len(words) < size:
        words["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 10)))] = None
    return list(words)


def write_text(folder: Path, words: int) -> tuple[Path, Path]:
    """Write lines of words, drawn by Zipf's law: the n-th word is n times rarer than the first.

    What an earlier run has written stays.

    Args:
        folder: Where to write.
        words: How many words, rounded down to whole lines of ten.

    Returns:
        A file with all lines, and a directory with the same lines in two files.
    """
    whole, halves = folder / f"words-{words}.txt", folder / f"words-{words}"
    if whole.exists():
        return whole, halves
    halves.mkdir(parents=True, exist_ok=True)
    chance = random.Random(SEED)
    choices = vocabulary(VOCABULARY)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    unfinished = whole.with_suffix(".part")
    with (
        unfinished.open("w") as out,
        (halves / "0.txt").open("w") as first,
        (halves / "1.txt").open("w") as second,
    ):
        for half in itertools.islice(itertools.cycle((first, second)), words // WORDS_PER_LINE):
            drawn = chance.choices(choices, cum_weights=weights, k=WORDS_PER_LINE)
            line = " ".join(drawn) + "\n"
            out.write(line)
            half.write(line)
    # The whole file is the sign that all three are complete.
    unfinished.rename(whole)
    return whole, halves
