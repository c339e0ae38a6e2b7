"""Files of a folder or zip archive of pictures, sorted into training and test pictures and classes.

Folders that all pictures share say nothing, so they are passed over. Then the first level
of folders tells the classes, whatever lies deeper; a level whose folders are named like
train and test (or validation) tells the parts instead, at the top or within the classes.
"""

import functools
import os
import re
import zipfile
from typing import NamedTuple

from gan.common.errors import UserError, listed, note, one_line, reading, warn
from gan.data.labels import find_labels, is_table

# Folder names such as Train, training, train2017, test_images, Testing, val, Validation-Set.
SPLITS = {name: re.compile(rf"({words})[ _-]?(set|split|data|images|imgs)?[ _-]?(\d{{1,4}})?", re.I)
          for name, words in {
              "train": "train|training|trn", "test": "test|tests|testing|tst",
              "validation": "val|vals|valid|validate|validation|dev|eval|evaluation",
              "unlabeled": "pred|predict|predictions?|unlabell?ed|unsup|submission"}.items()}
PART_PERHAPS = re.compile(r"(.*[ _-])?([Tt]rain|[Tt]est|[Vv]al)([A-Z\d _-].*)?")  # trainA
IMAGES = {"image", "images", "img", "imgs", "jpegimages", "photos", "pictures", "inputs"}
COMPANIONS = {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation",
              "segmentations", "groundtruth", "gt", "trimap", "trimaps", "depth", "edges",
              "segmentationclass", "segmentationobject", "targets"}
COMPANION_FILE = re.compile(  # "1_mask.png" beside "1.png"
    r"(.+)[ _-](mask|label|annotation|segmentation|seg|gt|trimap|depth)s?([ _-]?\d+)?", re.I)
TEST_TABLE = re.compile(r"(^|[/\\_-])(test|val|valid|validation)", re.I)  # a path
RECORDS = re.compile(r".+\.(parquet|(tfrec(ords?)?|records?)(-\d+-of-\d+)?)", re.I)  # a name
SEEDS = re.compile(r"seed_\d+")  # of generate.py, whose folders are classes
PIECE = re.compile(r"(part|batch|chunk|shard|split|volume|vol|folder|dir)?[ _-]?\d+", re.I)


class File(NamedTuple):
    """A file below a folder or in another file, as it was when it was found."""

    name: str  # its path from the folder
    path: str
    folders: tuple  # the names of the folders that lead to it
    identity: tuple  # name, size and times, which change with the content
    inside: object = None  # of a file within another one: function that reads so many bytes
    label: object = None  # the class of a picture, str or int

    def read(self, most):
        """Return the content, of at most so many bytes, without waiting for a FIFO."""
        if self.inside:
            content = self.inside(most + 1)
        elif os.path.isfile(self.path):
            with open(self.path, "rb") as opened:
                content = opened.read(most + 1)
        else:
            raise UnusableError("not a file")
        if len(content) > most:
            raise UnusableError(f"expected at most {most / 2**20:,.0f} MiB")
        return content


class UnusableError(Exception):
    """Why a file cannot be used, in words."""


def files_below(folder):
    """Yield a `File` for each file in a folder or zip archive, by name, but for hidden ones.

    A file of `RECORDS` is its own only one.
    """
    if os.path.isdir(folder):
        yield from _walk(folder, (), ())
    elif RECORDS.fullmatch(folder.name):
        yield File(folder.name, str(folder), (), (folder.name, *_state(folder)))
    else:
        with reading(folder, "a zip archive"):
            archive = zipfile.ZipFile(folder)
        yield from _files_in(archive)


def _walk(path, folders, above):
    with reading(path, "a folder"), os.scandir(path) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
        state = os.stat(path)
    own = (state.st_dev, state.st_ino)
    if own in above:  # a link led in a circle
        return
    for entry in entries:
        if _is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, (*folders, entry.name), (*above, own))
        else:
            name = os.path.join(*folders, entry.name)
            yield File(name, entry.path, folders, (name, *_state(entry)))


def _is_hidden(name):
    return name.startswith(".") or name == "__MACOSX"


def _state(entry):
    try:
        state = entry.stat()
    except OSError:  # a broken link, say
        state = entry.stat(follow_symlinks=False)
    # The time of the change cannot be set back, as that of the modification can.
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _files_in(archive):
    found = {}
    for member in archive.infolist():
        parts = tuple(filter(None, re.split(r"[/\\]", member.filename)))
        if parts and not member.is_dir() and not any(map(_is_hidden, parts)):
            found[parts] = member  # of two with one name the last counts
    for parts, member in sorted(found.items()):
        name = "/".join(parts)
        yield File(name, f"{archive.filename}/{name}", parts[:-1],
                   (name, member.file_size, member.CRC),
                   functools.partial(_read_member, archive, member))


def _read_member(archive, member, size):
    # Python unpacks others without a limit.
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED,
                                                            zipfile.ZIP_DEFLATED):
        raise UnusableError("encrypted, or packed by another method than deflate")
    with archive.open(member) as opened:
        return opened.read(size)


def arrange(folder, pictures, others):
    """Sort pictures, a list of `File`: training and test pictures, with their labels if any.

    Among the other files there may be one that names the classes, see `find_labels`.
    """
    files, shared = _without_shared(_without_companions(folder, pictures))
    parts = _parts(folder, files)
    train, inside = _without_shared(parts["train"])
    tables = [file for file in others if is_table(file)]
    of_tests = [file for file in tables if TEST_TABLE.search(file.name)]
    of_all = [file for file in tables if file not in of_tests]
    in_table = find_labels(folder, train, of_all)
    if in_table:
        found = labeled(folder, train, in_table)
    else:
        found = _classes(folder, train)
        if (shared or inside) and found[0].label is not None:
            where = " and ".join("/".join(names) + "/" for names in (shared, inside) if names)
            note(f"{folder}: the classes are the folders in {where}")
    if "test" not in parts:
        return found, []
    tests = [file._replace(folders=file.folders[len(inside):]) for file in parts["test"]]
    if found[0].label is None:  # nothing that folders of test pictures could be compared with
        return found, tests
    if in_table:
        labels = find_labels(folder, tests, of_tests) or find_labels(folder, tests, of_all, True)
        return found, labeled(folder, tests, labels or [None] * len(tests))
    in_folders = _classes(folder, tests, fewest=1)
    names = {file.label for file in in_folders}
    if None not in names and not names & {file.label for file in found}:
        note(f"{folder}: the folders of test pictures ({listed(sorted(names))}) are not those of "
             "the classes, so test pictures have no labels")
        return found, tests
    return found, in_folders


def _without_shared(files):
    """Take away the folders that all pictures lie in; returns the files and these names."""
    shared = []
    while files[0].folders and len({file.folders[:1] for file in files}) == 1:
        shared.append(files[0].folders[0])
        files = [file._replace(folders=file.folders[1:]) for file in files]
    return files, shared


# Masks and the like, which belong to other pictures.


def _without_companions(folder, files):
    """Leave out masks and the like that lie beside the pictures they belong to."""
    inside, stems = {}, set()  # the folders in each folder; the files without their suffix
    for file in files:
        for level, name in enumerate(file.folders):
            inside.setdefault(file.folders[:level], set()).add(name)
        stems.add(_stem(file))
    companions = {(*above, name) for above, names in inside.items() for name in names
                  if _belongs_to(name, names)}
    kept, places = [], set()
    for file in files:
        found = [file.folders[:level] for level in range(1, len(file.folders) + 1)
                 if file.folders[:level] in companions]
        match = COMPANION_FILE.fullmatch(_stem(file)[1])
        if found:
            places.add(found[0][-1] + "/")
        elif match and (file.folders, match[1]) in stems:
            places.add(f"*_{match[2]}")
        else:
            kept.append(file)
    if places:
        note(f"{folder}: {len(files) - len(kept):,} pictures named {listed(sorted(places))} are "
             "not used, as they belong to the pictures beside them")
    return kept


def _stem(file):
    return file.folders, os.path.splitext(os.path.basename(file.name))[0]


def _belongs_to(name, names):
    """Whether a folder's name says that it belongs to one beside it: masks, train_masks."""
    words = _words(name)
    rest = words - COMPANIONS
    if rest == words:
        return False
    return any(other != name and not _words(other) & COMPANIONS
               and _words(other) - IMAGES == rest - IMAGES and _words(other)
               for other in names)


def _words(name):
    return {*re.split(r"[ _-]+", name.lower().replace("ground_truth", "groundtruth"))}


# Training and test pictures.


def _parts(folder, files):
    """Return dict of "train" and, if there are any, "test" → files without that folder."""
    for level in range(min(len(file.folders) for file in files)):
        names = _parts_at(files, level)
        found = {*names.values()}
        # Within classes, each may spell them in its own way.
        if "train" in found and None not in found and (
                len(names) > 1 if level else len(found) == len(names) > 1):
            break
    else:
        usual = sorted(name for name, part in _parts_at(files, 0).items()
                       if part or PART_PERHAPS.fullmatch(name))
        if usual and all(file.folders for file in files):  # others are refused
            warn(f"{folder}: {listed(usual)}: taken as classes, as parts of a data set need one "
                 "training folder and none but test or validation folders beside it")
        return {"train": files}
    parts = {}
    for file in files:
        folders = file.folders[:level] + file.folders[level + 1 :]
        parts.setdefault(names[file.folders[level]], []).append(file._replace(folders=folders))
    if parts.pop("unlabeled", None):
        unused = listed(sorted(name for name, part in names.items() if part == "unlabeled"))
        note(f"{folder}: the pictures in {unused}/ are not used")
    unused = parts.pop("validation", None)
    if unused and "test" in parts:
        note(f"{folder}: validation pictures are not used, as there are test pictures")
    elif unused:
        parts["test"] = unused
    if level:
        note(f"{folder}: training and test folders within the others are parts, not classes")
    return parts


def _parts_at(files, level):
    """Return the part of each folder at a level, or None: dict of name → key of `SPLITS`.

    What all names begin and end with, as in seg_train and seg_test, is not looked at.
    """
    names = sorted({file.folders[level] for file in files if len(file.folders) > level})
    start = re.match(r"(.*[ _-])?", os.path.commonprefix(names))[0]
    end = re.match(r"(.*[ _-])?", os.path.commonprefix([name[::-1] for name in names]))[0]
    if len(names) < 2 or any(len(name) <= len(start) + len(end) for name in names):
        start = end = ""
    parts = {name: next((part for part, pattern in SPLITS.items()
                         if pattern.fullmatch(name[len(start) : len(name) - len(end)])), None)
             for name in names}
    if {"train", "test"} <= {*parts.values()}:  # beside which test-multiple_fruits is no class
        parts |= {name: "unlabeled" for name in names
                  if parts[name] is None and PART_PERHAPS.fullmatch(name)}
    return parts


# Classes.


def labeled(folder, files, labels):
    """Return those pictures that have a label, not None, with it; all if none has one."""
    known = [file._replace(label=label) for file, label in zip(files, labels, strict=True)
             if label is not None]
    if 0 < len(known) < len(files):
        warn(f"{folder}: {len(files) - len(known):,} of {len(files):,} pictures have no label; "
             "they are not used")
    one_class = len({file.label for file in known}) == 1
    return [file._replace(label=None) for file in known] if one_class else known or files


def _classes(folder, files, fewest=2):
    """Return pictures with the first level of folders as labels, if there are enough of them."""
    names = {file.folders[0] for file in files if file.folders}
    beside = [file.name for file in files if not file.folders]
    if names and beside:
        raise UserError(one_line(
            f"{folder}: expected pictures or folders of pictures, got both: {beside[0]} and "
            f"{min(names)}/; move the pictures away, or into one of the folders"))
    if len(names) < fewest or _are_pieces(folder, files, names):
        return files
    if doubtful := sorted(name for name in names if _words(name) <= COMPANIONS):
        warn(f"{folder}: {listed(doubtful)}: taken as classes; if they belong to other pictures, "
             "move them away")
    return [file._replace(label=file.folders[0])
            for file in sorted(files, key=lambda file: file.folders[0])]


def _are_pieces(folder, files, names):
    """Whether folders such as 00000/, 00001/ or part1/, part2/ only cut one set into pieces."""
    if len(names) < 2 or not all(map(PIECE.fullmatch, names)):
        return False
    shown = listed([f"{name}/" for name in sorted(names)], most=3)
    decimal = {name.isdecimal() for name in names}
    padded = any(name.startswith("0") and len(name) > 2 for name in names)
    numbering = decimal == {True} and _one_numbering(files)
    if decimal == {False} or padded and numbering:
        note(f"{folder}: {shown} are taken as pieces of one set, not as classes")
        return True
    if padded or numbering:
        warn(f"{folder}: {shown} are taken as classes; if the numbers mean nothing, move all "
             "pictures into one folder")
    return False


def _one_numbering(files):
    """Whether the numbers in the files' names go on from one folder to the next."""
    numbers = {}
    for file in files:
        found = re.findall(r"\d+", _stem(file)[1])
        if not found or SEEDS.match(_stem(file)[1]):
            return False
        numbers.setdefault(file.folders[0], []).append(int(found[-1]))
    spans = [(min(numbers[name]), max(numbers[name])) for name in sorted(numbers, key=int)]
    return all(end < start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
