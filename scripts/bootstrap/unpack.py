#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unpacks a part of a wheel or of a .tar.gz into a folder; standard library only.

    unpack.py ARCHIVE FOLDER [--strip PREFIX] [--flat] [--only GLOB ...] [--without GLOB ...]

Takes the files below PREFIX (cut off from their names) that match a GLOB of --only and none of
--without; --flat drops all folders. Symbolic links and special files are not taken.
"""

import argparse
import fnmatch
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath


def members(archive):
    """Yields (name, function that opens the file) of each regular file."""
    if archive.name.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    yield info.filename, lambda info=info: wheel.open(info)
    else:
        with tarfile.open(archive) as tar:
            for info in tar:
                if info.isfile():
                    yield info.name, lambda info=info: tar.extractfile(info)


def target_name(name, options):
    """Returns where the file goes below the folder, or None when it is not wanted."""
    if not name.startswith(options.strip):
        return None
    name = name[len(options.strip) :]
    if not any(fnmatch.fnmatchcase(name, glob) for glob in options.only):
        return None
    if any(fnmatch.fnmatchcase(name, glob) for glob in options.without):
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"'{name}' points out of the folder")
    return path.name if options.flat else path


def unpack(options):
    count = 0
    for name, open_member in members(options.archive):
        target = target_name(name, options)
        if target is None:
            continue
        path = options.folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_member() as source, open(path, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        count += 1
    if count == 0:
        raise ValueError("no file in it is wanted")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--strip", default="")
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--only", nargs="+", default=["*"])
    parser.add_argument("--without", nargs="+", default=[])
    options = parser.parse_args()
    try:
        unpack(options)
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        sys.exit(f"{options.archive.name}: {error}")


if __name__ == "__main__":
    main()
