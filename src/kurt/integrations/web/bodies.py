"""Bodies of answers, read and decompressed piece by piece within a limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from kurt.integrations.web.errors import BodyError, TooLargeError

ENCODINGS = "gzip, deflate"
"""What we ask for; others are not decompressed."""

_GZIP = 16 + zlib.MAX_WBITS
_BLOCK = 64 * 1024


class _Inflater:
    """Decompresses one body, never further than the limit."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._deflate = encoding == "deflate"
        self._stream = zlib.decompressobj(zlib.MAX_WBITS if self._deflate else _GZIP)
        self._begun = False
        self._limit = limit
        self.out = bytearray()

    def feed(self, data: bytes) -> None:
        """Decompress one more piece.

        Raises:
            TooLargeError: the result has more bytes than the limit.
            BodyError: it is not compressed so.
        """
        while data:
            if self._stream.eof:
                if not data.startswith(b"\x1f\x8b"):
                    return  # what follows the end of the data is no part of it
                self._stream = zlib.decompressobj(_GZIP)
            part = self._piece(data)
            self.out += part
            if len(self.out) > self._limit:
                raise TooLargeError(f"the body has more than {self._limit} bytes after decompression")
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def _piece(self, data: bytes) -> bytes:
        room = self._limit + 1 - len(self.out)
        try:
            part = self._stream.decompress(data, room)
        except zlib.error as error:
            if self._begun or not self._deflate:
                raise BodyError(f"the body cannot be decompressed: {error}") from error
            self._stream = zlib.decompressobj(
                -zlib.MAX_WBITS
            )  # servers send deflate with and without its header
            self._begun = True
            return self._piece(data)
        self._begun = True
        return part


async def read(blocks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    """Read a body to its end.

    Args:
        blocks: as it comes from the server.
        encoding: its `Content-Encoding`; empty for none.
        limit: bytes that it may have, both as it is sent and after decompression.

    Raises:
        TooLargeError: it has more.
        BodyError: it is compressed in another way than it says, or in one that is not known.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return await _plain(blocks, limit)
    if name not in {"gzip", "x-gzip", "deflate"}:
        raise BodyError(f"the body is compressed by {encoding!r}, which was not asked for")
    inflater, raw = _Inflater(name, limit), 0
    async for block in blocks:
        raw += len(block)
        if raw > limit:
            raise TooLargeError(f"the body has more than {limit} bytes")
        inflater.feed(block)
    return bytes(inflater.out)


async def _plain(blocks: AsyncIterator[bytes], limit: int) -> bytes:
    data = bytearray()
    async for block in blocks:
        data += block
        if len(data) > limit:
            raise TooLargeError(f"the body has more than {limit} bytes")
    return bytes(data)


def gunzip(data: bytes, limit: int) -> bytes:
    """The content of a gzip file, such as a sitemap; data that is not gzip as it is.

    Args:
        data: the file.
        limit: bytes that the result may have.

    Raises:
        TooLargeError: it has more.
        BodyError: the file is damaged from its beginning.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    inflater = _Inflater("gzip", limit)
    for start in range(0, len(data), _BLOCK):
        try:
            inflater.feed(data[start : start + _BLOCK])
        except BodyError:
            if not inflater.out:
                raise
            break  # rubbish after the data, or a damaged end: what was read is given
    return bytes(inflater.out)
