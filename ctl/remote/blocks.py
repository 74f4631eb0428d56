"""What a packed layer looks like.

It is a stream, in blocks of `BLOCK_BYTES` and a last one that may be shorter, each compressed by
itself as raw DEFLATE (RFC 1951), so that several can be inflated at once. The stream is the length
of a list (`LENGTH`); the list, as JSON, of path, whether it is executable, and size in bytes of
each file; and the contents of these files.
"""

import struct
import zlib

BLOCK_BYTES = 256 << 10
LENGTH = struct.Struct(">Q")
WINDOW = -zlib.MAX_WBITS
"""What `zlib` is told to make it raw DEFLATE; the digest of a layer finds damage."""
