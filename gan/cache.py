"""List or empty the cache of decoded pictures, trained networks and real images' metrics.

    python -m gan.cache
    python -m gan.cache --clear
"""

import re

from gan.common.command_line import OptionParser
from gan.common.errors import UserError, describe_os_error, run_script
from gan.common.files import cache_folder
from gan.common.leftovers import remove_leftovers
from gan.data.cache_space import (
    DEFAULT_LIMIT,
    LIMIT_VARIABLE,
    describe_cache,
    limit_bytes,
    own_caches,
    remove_cache,
)
from gan.data.messages import one_line
from gan.evaluate.reference_cache import NAME as REFERENCE
from gan.evaluate.reference_cache import read_reference
from gan.run.ownership import is_archive

NETWORKS = {"classifier": "classifier", "learned": "features learned without labels"}
NETWORK = re.compile(rf"({'|'.join(NETWORKS)})_[0-9a-f]{{16}}\.npz")
EPILOG = (
    f"The cache is $XDG_CACHE_HOME/gan (~/.cache/gan). Its pictures may take {DEFAULT_LIMIT:g} GiB "
    f"together, or what {LIMIT_VARIABLE} says (a number of GiB): when new ones are written, those "
    "that were not used for longest are removed, never those in use. Everything in the cache is "
    "made again when it is needed. Only files that this project wrote are listed and removed."
)


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.cache", description=__doc__.split("\n")[0],
                          epilog=EPILOG)
    parser.add_argument("--clear", action="store_true", help="remove the files instead")
    return parser


def main():
    """List or clear the cache from the command line; returns the exit code."""
    options = make_parser().parse_args()
    folder, files = cache_folder(), list(cached_files())
    for path, size, what in files:
        if options.clear:
            _remove(path)
        print(f"{'removed  ' if options.clear else ''}{one_line(path)}  {in_words(size)}  "
              f"{one_line(what)}")
    if options.clear:
        remove_leftovers(folder)
    total = sum(size for _, size, _ in files)
    print(f"{folder}: {len(files)} file{'s' * (len(files) != 1)}, {in_words(total)}"
          f"{' removed' if options.clear else ''} (pictures may take "
          f"{limit_bytes() / 2**30:g} GiB)")
    return 0


def in_words(size):
    """Return a number of bytes such as "1.5 MiB"."""
    for unit, exponent in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 2**exponent:
            return f"{size / 2**exponent:.1f} {unit}"
    return f"{size} bytes"


def cached_files():
    """Yield (path, bytes, what it is) for each file that this project keeps in the cache."""
    for path, size, _ in own_caches():
        known = describe_cache(path)
        shape = " x ".join(re.findall(r"\d+", str(known.get("shape"))))
        yield path, size, " ".join(filter(None, ["pictures", shape, str(known.get("folder", ""))]))
    for path in sorted(cache_folder().glob("*.npz")):
        found = NETWORK.fullmatch(path.name)
        if found and path.is_file() and is_archive(path):
            yield path, path.stat().st_size, NETWORKS[found[1]]
    for path in sorted(cache_folder().glob("reference_*.json")):
        if REFERENCE.fullmatch(path.name) and read_reference(path):
            yield path, path.stat().st_size, "metrics of real images"


def _remove(path):
    try:
        if NETWORK.fullmatch(path.name) or REFERENCE.fullmatch(path.name):
            path.unlink(missing_ok=True)
        else:
            remove_cache(path)
    except OSError as error:
        raise UserError(f"cannot remove {path}: {describe_os_error(error)}") from error


if __name__ == "__main__":
    run_script("gan.cache", main)
