"""Classes of pictures from a table beside them: dataset.json, metadata.csv, labels.csv, …"""

import contextlib
import csv
import io
import json
import math
import os
import re

from gan.common.errors import UserError, counted, listed, note, one_line, warn
from gan.data.pixels import MAX_CLASSES

TABLE = re.compile(
    r"dataset\.json|metadata\.jsonl|"
    r"(metadata|(train(ing)?|test)?[ _-]?labels?|train|test)\.csv", re.I)
CLASS_COLUMN = re.compile(
    r"labels?|class(es)?|(class|label|category)[ _-]?(name|id)?|categor(y|ies)|target|species|"
    r"breed|diagnosis", re.I)
PICTURE = re.compile(r"\.(png|jpe?g|webp|gif|bmp|tiff?)$", re.I)
SEVERAL = re.compile(r"[^|;]+[|;]")  # labels in one text
MOST_BYTES = 2**27  # of a table


def find_labels(folder, pictures, tables, exact=False):
    """Return the class of each picture that the first fitting table tells; None without one.

    A class is str or int, None for a picture that the table leaves out. With `exact` a picture's
    folder has to fit, too.
    """
    found = (_labels_in(one_line(f"{folder}: {table.name}"), table, pictures, exact)
             for table in sorted(tables, key=lambda file: len(file.folders)))
    return next((labels for labels in found if labels is not None), None)


def is_table(file):
    return TABLE.fullmatch(os.path.basename(file.name)) is not None


def _labels_in(where, table, pictures, exact):
    try:
        columns, rows = _read(table)
    except Exception as error:  # whatever damage can cause
        warn(f"{where} cannot be read ({type(error).__name__}: {error}); it is not used")
        return None
    keys = _keys(pictures, table, exact)
    count, name_column, places = max(_matches(rows, columns, keys), default=(0, None, None),
                                     key=lambda match: match[0])
    if 2 * count < len(pictures):
        if not exact:
            warn(f"{where} names {count:,} of {len(pictures):,} pictures; it is not used")
        return None
    values, heading = classes_in(where, columns, rows, name_column)
    if values is None:
        return None
    labels = []
    for numbers in places:
        classes = {values[number] for number in numbers}
        if len(classes) > 1:
            raise _several(where, rows[numbers[0]][name_column])
        labels.append(classes.pop() if classes else None)
    note(f"{where}: the classes are {heading}")
    return labels


def _read(table):
    """Return the names of the columns, and the rows: dict of column → text."""
    text = table.read(MOST_BYTES).decode("utf-8-sig", "replace")
    if table.name.lower().endswith(".json"):
        labels = json.loads(text)["labels"] or ()  # null, if there are none
        pairs = labels.items() if isinstance(labels, dict) else labels
        return ("file", "label"), [{"file": str(name), "label": label} for name, label in pairs]
    if table.name.lower().endswith(".jsonl"):
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        return list(dict.fromkeys(name for row in rows for name in row)), rows
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    columns, *lines = list(csv.reader(io.StringIO(text), delimiter=delimiter)) or [()]
    if any(map(PICTURE.search, columns)):  # no headings
        lines, columns = [columns, *lines], [str(place + 1) for place in range(len(columns))]
    return columns, [dict(zip(columns, map(str.strip, line), strict=False))
                     for line in lines if line]


def _keys(pictures, table, exact):
    """Return the names that a table may know each picture by, the most exact first."""
    start = "".join(f"{folder}/" for folder in table.folders)
    paths = [file.name.replace(os.sep, "/") for file in pictures]
    if any(path.startswith(start) for path in paths):  # others are not the table's
        paths = [path.removeprefix(start) if path.startswith(start) else "" for path in paths]
    bases = [""] * len(paths) if exact else [path.rpartition("/")[2] for path in paths]
    return [(path, os.path.splitext(path)[0], base, os.path.splitext(base)[0])
            for path, base in zip(paths, bases, strict=True)]


def _matches(rows, columns, keys):
    """Yield how many pictures a column names, the column, and the rows of each picture."""
    for column in columns:
        paths, bases = {}, {}
        for number, row in enumerate(rows):
            path = str(row.get(column, "")).replace("\\", "/").removeprefix("./")
            if path:
                paths.setdefault(path, []).append(number)
                bases.setdefault(path.rpartition("/")[2], []).append(number)
        for kind, numbers in enumerate((paths, paths, bases, bases)):
            places = [numbers.get(names[kind], []) for names in keys]
            yield sum(map(bool, places)), column, places


def classes_in(where, columns, rows, name_column):
    """Return the class of each row, a dict, and what they are in words; (None, "") for none.

    The class of a row whose label is empty is None.
    """
    others = [column for column in columns if column not in (name_column, "", None)]
    named = [column for column in others if CLASS_COLUMN.fullmatch(column)] or (
        others if len(others) == 1 else [])
    if not named and others and all(
            _number(row.get(column)) in (-1, 0, 1) for row in rows for column in others):
        ones = [[column for column in others if _number(row[column]) > 0] for row in rows]
        wrong = next((row for row, found in zip(rows, ones, strict=True) if len(found) != 1), None)
        if wrong:
            raise _several(where, wrong.get(name_column, ""))
        return [found[0] for found in ones], f"its columns {listed(others)}"
    if not named:
        warn(f"{where}: no column is called label or class ({listed(others) or 'no others'}); it "
             "is not used")
        return None, ""
    values = [_one_hot(where, row, row.get(named[0]), name_column) for row in rows]
    distinct = {*values} - {""}
    if not distinct:
        return None, ""
    numbers = {_number(value) for value in distinct}
    if None not in numbers and not all(number == int(number) for number in numbers):
        raise UserError(f"{where}: expected a class for each picture, got numbers such as "
                        f"{next(n for n in numbers if n != int(n))}; write names of ranges instead "
                        "(such as low and high), or take them away to train without classes")
    texts = [value for value in distinct if SEVERAL.match(value) or (
        len(pieces := re.split(r"[,\s]+", value)) > 1 and distinct.issuperset(pieces))]
    if texts:
        raise _several(where, texts[0])
    if not 1 < len(distinct) <= min(MAX_CLASSES, max(2, len(rows) // 2)):
        warn(f"{where}: column {named[0]} has {counted(len(distinct), 'value')} for "
             f"{counted(len(rows), 'picture')}, which are no classes; it is not used")
        return None, ""
    kind = str if None in numbers or min(numbers) < 0 else lambda value: int(_number(value))
    return ([None if value == "" else kind(value) for value in values],
            f"in its column {named[0]}")


def _one_hot(where, row, value, name_column):
    """Return a class that can be told from others; a list of 0 and 1 becomes a number."""
    if not isinstance(value, list):
        return str(value)
    if len(value) == 1:
        return str(value[0])
    if not all(entry in (0, 1) for entry in value) or sum(value) != 1:
        raise _several(where, row[name_column])
    return str(value.index(1))


def _number(value):
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(float(value)):
            return float(value)
    return None


def _several(where, name):
    return UserError(one_line(
        f"{where}: expected one class for each picture, got several (at {name:.60}); write one "
        "into a column called label, or take it away to train without classes"))
