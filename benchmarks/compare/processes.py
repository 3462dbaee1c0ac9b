# SPDX-License-Identifier: Apache-2.0
"""Starts a program and tells its output, time and peak memory; alone or beside busy neighbours."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SHOWN_LINES = 8
SPIN = Path(__file__).with_name("spin.py")


class BenchmarkError(Exception):
    """Something that the user can see and mend; one line."""


@dataclass(frozen=True)
class Finished:
    """A program that ended well: `seconds` from its start to its end, `peak_mib` its largest resident memory."""

    stdout: str
    stderr: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Neighbours:
    """Busy processes of `threads` threads that run as long as a side does; `nice` 19 is the lowest priority."""

    processes: int = 0
    threads: int = 1
    nice: int = 0

    def command(self):
        return [sys.executable, str(SPIN), "--threads", str(self.threads), "--nice", str(self.nice)]


QUIET = Neighbours()


@contextlib.contextmanager
def busy(neighbours):
    """Runs the body beside the neighbours, which are all busy when it begins and ended when it is left.

    They stay in our session: Linux may weigh sessions against each other, and `nice` would count within one alone.
    """
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(neighbours.processes):
            process = subprocess.Popen(neighbours.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            stack.callback(end, process)
            started.append(process)
        for process in started:
            if not process.stdout.readline():
                raise BenchmarkError("a busy neighbour ended at once; its last lines are above.")
        yield started
        if any(process.poll() is not None for process in started):
            raise BenchmarkError("a busy neighbour ended before the side that ran beside it.")


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def environment(more):
    """Both sides get their threads by argument, and the peer asks no server."""
    dropped = ("OMP_", "MKL_", "ONEDNN_", "ATEN_", "LD_PRELOAD", "MALLOC_CONF")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "HF_HUB_OFFLINE": "1", **more}


def run(command, folder, more_environment=None):
    """Runs `command` in `folder`; where it fails, shows its last lines and raises BenchmarkError."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment(more_environment or {}), stdin=subprocess.DEVNULL, stdout=out, stderr=err
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
