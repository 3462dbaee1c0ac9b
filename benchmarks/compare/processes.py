# SPDX-License-Identifier: Apache-2.0
"""Starts a program and tells its output, time and peak memory."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

SHOWN_LINES = 8


class BenchmarkError(Exception):
    """Something that the user can see and mend; one line."""


@dataclass(frozen=True)
class Finished:
    """A program that ended well: `seconds` from its start to its end, `peak_mib` its largest resident memory."""

    stdout: str
    stderr: str
    seconds: float
    peak_mib: float


def environment():
    """Both sides get their threads by argument, and the peer asks no server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    return {**kept, "HF_HUB_OFFLINE": "1"}


def run(command, folder):
    """Runs `command` in `folder`; where it fails, shows its last lines and raises BenchmarkError."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        except OSError as error:
            raise BenchmarkError(f"{command[0]} cannot be started: {error.strerror}.") from error
        status, usage = wait(process)
        seconds = time.perf_counter() - start
        texts = [read(out), read(err)]
    if status != 0:
        print("\n", *"\n".join(texts).strip().splitlines()[-SHOWN_LINES:], sep="\n", file=sys.stderr)
        raise BenchmarkError(failure(command, status))
    return Finished(*texts, seconds, usage.ru_maxrss / 1024)


def wait(process):
    """Exit status and resource usage; a program that is still running when we are stopped is killed."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def read(file):
    file.seek(0)
    return file.read()


def failure(command, status):
    cause = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
    return f"{' '.join(command[:2])} ... {cause}; its last lines are above. No page was written for this theme."
