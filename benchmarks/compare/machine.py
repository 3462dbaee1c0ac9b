# SPDX-License-Identifier: Apache-2.0
"""What was measured, and on what: hardware, versions, commit."""

import ctypes.util
import os
import re
from pathlib import Path

from . import processes

# Words of a processor's name that tell nothing.
FILLER = re.compile(r"\((R|TM)\)|\b(AMD|Intel|CPU|Processor|\d+-Core)\b|@.*")
PACKAGES = ["torch", "transformers", "peft", "trl"]
# What decides the speed of a run; a page tells their state, so that check_pages.py knows when it is older than they are.
SOURCES = ["src/kernels", "src/nn", "src/models", "src/training", "src/objectives", "src/generation", "src/evaluation",
           "src/data", "src/quant", "src/tensor", "tools", "benchmarks/peers"]  # fmt: skip
# The settings in tools/malloc_conf.cpp.
MALLOC_CONF = "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,narenas:1,thp:always,lg_extent_max_active_fit:20"

# What holds LibTorch and its libraries for products to AVX2, on both sides.
AVX2_ONLY = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


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


def page_hardware(is_held_to_avx2=False):
    """Part of a page's file name: `epyc2-avx512`, or `epyc2-avx512-held-to-avx2`."""
    text = cpuinfo()
    name = f"{hardware_name(processor_name(text), num_cores())}-{re.sub('[^a-z0-9]', '', kind(text).lower())}"
    return f"{name}-held-to-avx2" if is_held_to_avx2 else name


def has_unit(text, name):
    return re.search(rf"\b{name}\b", text) is not None


def kind(text):
    """The machine's type by its widest units for products: figures of one type say nothing of another."""
    for name, shown in (("amx_tile", "AMX"), ("avx512f", "AVX-512"), ("avx2", "AVX2")):
        if has_unit(text, name):
            return shown
    return "without AVX2"


def description(is_held_to_avx2=False):
    """One line on the machine."""
    text = cpuinfo()
    names = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
    units = [name for name in names if has_unit(text, name)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    line = f"{num_cores()} cores of {processor_name(text)}, {kind(text)} ({', '.join(units)}), {memory:.0f} GiB"
    if not is_held_to_avx2:
        return line
    settings = " ".join(f"{name}={value}" for name, value in AVX2_ONLY.items())
    return f"{line}; **both sides held to AVX2** (`{settings}`, cpx's preset `avx2`)"


def sources(root):
    """The trees of SOURCES as git names them: "src/kernels 0123456789, ..."; a folder with changes says so."""
    try:
        parts = []
        for folder in SOURCES:
            tree = processes.run(["git", "rev-parse", "--short=10", f"HEAD:{folder}"], root).stdout.strip()
            changes = processes.run(["git", "status", "--porcelain", "--", folder], root).stdout
            parts.append(f"{folder} {tree}{' with changes' if changes else ''}")
    except processes.BenchmarkError:
        return "unknown"
    return ", ".join(parts)


def find_jemalloc():
    """The library to preload, or nothing."""
    return ctypes.util.find_library("jemalloc")


def allocator(preload, tool):
    """One line on the allocators of the two sides."""
    has_jemalloc = b"<jemalloc>" in Path(tool).read_bytes()
    if preload is None and has_jemalloc:
        return "cpx jemalloc, the peers the system's: **not the same**"
    if preload is None:
        return "the system's on both sides"
    peers = f"the peers by LD_PRELOAD ({Path(preload).name})"
    return f"jemalloc with the same settings on both sides, {peers}" if has_jemalloc else f"cpx the system's, {peers}"


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
