#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Downloads a URL into a file and goes on where the file ends; standard library only.

    fetch.py URL FILE

One line on standard error and exit 1 where that fails; what has arrived stays in the file.
"""

import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 30


def fetch(url, path):
    have = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        # A server that cannot go on in the middle sends all again.
        goes_on = have > 0 and answer.status == http.HTTPStatus.PARTIAL_CONTENT
        expected = answer.length
        received = 0
        with open(path, "ab" if goes_on else "wb") as sink:
            while chunk := answer.read1(1 << 16):
                sink.write(chunk)
                sink.flush()
                received += len(chunk)
    if expected is not None and received < expected:
        raise OSError(f"the connection ended after {received} of {expected} bytes")


def main():
    if len(sys.argv) != 3:
        sys.exit("fetch.py: expected URL FILE.")
    url, path = sys.argv[1], Path(sys.argv[2])
    try:
        fetch(url, path)
    except urllib.error.HTTPError as error:
        sys.exit(f"the server answers {error.code} {error.reason}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(str(getattr(error, "reason", error)) or type(error).__name__)


if __name__ == "__main__":
    main()
