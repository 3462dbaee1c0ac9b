# SPDX-License-Identifier: Apache-2.0
"""What was measured, and on what: hardware, versions, commit."""

import os
import re

from . import processes

# Words of a processor's name that tell nothing.
FILLER = re.compile(r"\((R|TM)\)|\b(AMD|Intel|CPU|Processor|\d+-Core)\b|@.*")
PACKAGES = ["torch", "transformers", "peft"]


def processor_name(cpuinfo):
    """The processor as /proc/cpuinfo names it."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown processor"


def hardware_name(processor, num_cores):
    """Part of a file's name: `epyc2` for 2 cores of an AMD EPYC."""
    words = re.findall(r"[a-z0-9]+", FILLER.sub(" ", processor).lower())
    name = "".join(words or ["cpu"])
    return f"{name}{'x' if name[-1].isdigit() else ''}{num_cores}"


def cpuinfo():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return file.read()


def num_cores():
    return len(os.sched_getaffinity(0))


def description():
    """One line on the machine."""
    text = cpuinfo()
    units = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{name}\b", text)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{num_cores()} cores of {processor_name(text)} ({', '.join(units)}), {memory:.0f} GiB"


def cpx_version(tool, root):
    """Version of the tool, and the commit of the tree that it should have been built from."""
    version = processes.run([tool, "--version"], root).stdout.strip().split()[-1]
    try:
        commit = processes.run(["git", "rev-parse", "--short", "HEAD"], root).stdout.strip()
        changes = processes.run(["git", "status", "--porcelain", "--", "src", "include", "tools"], root).stdout
    except processes.BenchmarkError:
        return f"{version}, commit unknown"
    return f"{version}, commit {commit}{' with changes' if changes else ''}"


def peer_versions(python, root):
    """Versions of the peer's Python and packages."""
    code = (
        "import platform; from importlib.metadata import version; "
        f"print('Python', platform.python_version(), *[f', {{p}} {{version(p)}}' for p in {PACKAGES}])"
    )
    return processes.run([python, "-c", code], root).stdout.strip().replace(" ,", ",")
