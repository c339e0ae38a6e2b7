"""Which samples a user asks for: seeds, classes, and the names of the files that hold them."""

import argparse
import dataclasses
import itertools
import re
from dataclasses import dataclass

from gan.common.errors import UserError
from gan.metadata import without_labels

MOST_SEEDS = 10**9  # in a range
MOST_LISTED = 10**7  # in a list with commas
LONGEST = 40  # characters of a class or of a list of seeds in a file's name


@dataclass(frozen=True)
class Classes:
    """The classes to draw.

    Attributes:
        numbers: list of int, in the order in which they are drawn.
        names: list of str, of all classes that the generator knows.
        each: whether every class was asked for, rather than one.
    """

    numbers: list
    names: list
    each: bool

    def first(self, count):
        """Return the first `count` of them."""
        return dataclasses.replace(self, numbers=self.numbers[:count])

    def file_part(self, number):
        """A class as part of a file's name: "class_7", "class_Ankle_boot"."""
        name = re.sub(r"[^\w.-]+", "_", self.names[number]).strip("._-")
        return f"class_{name[:LONGEST] or number}"


@dataclass(frozen=True)
class Request:
    """What to draw.

    Attributes:
        seeds: sequence of int.
        classes: `Classes`, or None for classes as frequent as in the data.
        truncation: factor of the latent vectors.
        batch_size: samples drawn at a time.
    """

    seeds: range | list
    classes: Classes | None = None
    truncation: float = 1.0
    batch_size: int = 500

    def labels(self, start, stop):
        """Return the class numbers of the samples at positions start to stop, or None.

        Equal blocks of the classes, as far as the count allows: each class has
        a row of a sheet whose places are a multiple of the classes.
        """
        if self.classes is None:
            return None
        numbers, count = self.classes.numbers, len(self.seeds)
        return [numbers[position * len(numbers) // count] for position in range(start, stop)]

    def file_name(self, form, ending, default_seeds=True):
        """Name a file with all samples: "grid_10x10_each.png", "images_seeds_64-127.npz".

        Args:
            form: what the file is, such as "grid_8x8".
            ending: such as ".png".
            default_seeds: whether seeds that count up from 0 go without saying.
        """
        parts = [form]
        if self.classes:
            parts.append("each" if self.classes.each
                         else self.classes.file_part(self.classes.numbers[0]))
        words = seeds_in_words(self.seeds)
        if not default_seeds or words != seeds_in_words(range(len(self.seeds))):
            parts.append(f"seeds_{words}")
        return "_".join(parts) + self._truncation_part() + ending

    def image_name(self, position):
        """Name the file with one image: "seed_000003.png", "seed_000003_class_7.png"."""
        name = f"seed_{self.seeds[position]:06d}"
        if self.classes:
            name += "_" + self.classes.file_part(*self.labels(position, position + 1))
        return name + self._truncation_part() + ".png"

    def _truncation_part(self):
        return "" if self.truncation == 1 else f"_truncation_{self.truncation:g}"


def parse_seeds(text):
    """Argparse type: `0,3,8-15` → the list of numbers; one range stays a `range`."""
    parts = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(
                f"expected numbers and ranges such as 0,3,8-15, got: {text}")
        parts.append(range(first, last + 1))
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > MOST_LISTED:
        raise argparse.ArgumentTypeError(f"expected at most {MOST_LISTED:,} seeds in a list")
    return list(itertools.chain.from_iterable(parts))


def seeds_in_words(seeds):
    """Seeds as part of a file's name: "0-3", "0_5_8-15", or "0_to_99" of a long list."""
    words, length, first = [], 0, seeds[0]
    runs = [(seeds[0], seeds[-1])] if isinstance(seeds, range) else _runs(seeds)
    for first, last in runs:
        words.append(str(first) if first == last else f"{first}-{last}")
        length += len(words[-1]) + 1
        if length > LONGEST and len(words) > 1:
            return f"{seeds[0]}_to_{seeds[-1]}"
    return "_".join(words)


def _runs(seeds):
    """Yield (first, last) of each row of numbers that count up by one."""
    first = last = seeds[0]
    for seed in seeds[1:]:
        if seed != last + 1:
            yield first, last
            first = seed
        last = seed
    yield first, last


def choose_classes(text, metadata):
    """Find the classes that `--label` names.

    Args:
        text: a class name, its number, "each", or None.
        metadata: dict, see `read_metadata`.

    Returns:
        `Classes`, or None if none is asked for.

    Raises:
        UserError: when the generator cannot draw them.
    """
    if text is None:
        return None
    names = metadata["class_names"]
    if not names or "sample_labels" not in metadata.get("endpoints", ["sample_labels"]):
        raise UserError(without_labels(metadata))
    known = metadata.get("classes", range(len(names)))
    if text == "each":
        return Classes(list(known), names, each=True)
    folded = [name.casefold() for name in names]
    if text.casefold() in folded:
        number = folded.index(text.casefold())
    elif not text.isdecimal() or any(name.isdecimal() for name in names):
        number = None  # where names are numbers, a number is a name
    else:
        number = int(text[:9]) if int(text[:9]) < len(names) else None
    if number not in known:
        shown = ", ".join(names[one] for one in known)
        what = "of which it saw no image" if number is not None else "which it does not know"
        raise UserError(f"--label: expected each or a class of the generator ({shown}), "
                        f"got: {text}, {what}")
    return Classes([number], names, each=False)
