"""Standard output of a run, kept in log.txt as well."""

import contextlib
import io
import os

from gan.common.files import open_own


class Transcript(io.TextIOBase):
    """A stream that passes text on, and keeps all but bars; see `contextlib.redirect_stdout`."""

    def __init__(self, stream):
        self._stream, self._kept, self._file = stream, [], None

    def open(self, path):
        """Append what was and will be written to a file, as far as the disk allows."""
        with contextlib.suppress(OSError):
            handle = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._file = open(  # noqa: SIM115 (closed in `close`)
                handle, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
            self._file.writelines(self._kept)

    def close(self):
        with contextlib.suppress(OSError, AttributeError):
            self._file.close()

    def write(self, text):
        if "\r" in text:  # a bar, which is drawn again and again
            return self._stream.write(text)
        if self._file is None:
            self._kept.append(text)
        else:
            with contextlib.suppress(OSError):  # the disk is full
                self._file.write(text)
        return self._stream.write(text)

    def flush(self):
        self._stream.flush()

    def isatty(self):
        return self._stream.isatty()
