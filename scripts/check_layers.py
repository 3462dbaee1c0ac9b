#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who uses whom against the module table in docs/design.md; one line a fault, then exit 1.

    check_layers.py [REPOSITORY_ROOT]

The table itself: every used module stands on a lower level, the CMake list names the same modules.
Includes of "cpx/<module>/...": only what the row allows, directly or through what it uses.
DEPENDS of cpx_add_module: the same, and it covers what the module includes.
Private headers (src/<module>/): only for the module itself and for its tests.
LibTorch's headers: only for modules that may use `tensor`.
Public types: a name stands in one namespace, so that a reader who meets it knows which type it is.
"""

import re
import sys
from pathlib import Path

SOURCE_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
TABLE_ROW = re.compile(r"^\|\s*(\d+)\s*\|\s*`(\w+)`\s*\|[^|]*\|([^|]*)\|\s*$")
TORCH_HEADER = re.compile(r"^(torch|ATen|c10|caffe2)/")
# Thin mains: what they may name directly.
TOOL_MODULES = {"core", "tensor", "recipes"}
NAMESPACE_BEGIN = re.compile(r"^namespace\s*([\w:]*)\s*\{")
NAMESPACE_END = re.compile(r"^\}\s*//\s*namespace\b")
# A type at a namespace's own level, which clang-format leaves without an indent.
TYPE = re.compile(
    r"^(?:template\s*<.*>\s*)?(?:struct|class|enum(?:\s+class)?)\s+(\w+)(?![^{]*;)|^using\s+(\w+)\s*=|^TORCH_MODULE\((\w+)\)"
)


class Module:
    def __init__(self, level, uses):
        self.level = level
        self.uses = uses
        self.reach = set()


def read_table(root, faults):
    """Returns name -> Module from the table of docs/design.md."""
    modules = {}
    page = root / "docs/design.md"
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        row = TABLE_ROW.match(line)
        if not row:
            continue
        names = [name.strip() for name in row[3].split(",") if name.strip() not in ("", "-")]
        if row[2] in modules:
            faults.append(f"docs/design.md:{number}: module '{row[2]}' stands twice")
        modules[row[2]] = Module(int(row[1]), names)
    if not modules:
        faults.append("docs/design.md: no module table found, expected | level | `module` | ... | may use |")
    for name, module in modules.items():
        if "all" in module.uses:
            module.uses = [other for other in modules if modules[other].level < module.level]
        check_row(name, module, modules, faults)
    # Levels rise, so that lower rows are complete before they are used.
    for module in sorted(modules.values(), key=lambda module: module.level):
        for used in module.uses:
            if used in modules:
                module.reach |= {used} | modules[used].reach
    return modules


def check_row(name, module, modules, faults):
    for used in module.uses:
        if used not in modules:
            faults.append(f"docs/design.md: '{name}' may use '{used}', which has no row")
        elif modules[used].level >= module.level:
            faults.append(
                f"docs/design.md: '{name}' (level {module.level}) may use '{used}' "
                f"(level {modules[used].level}), expected a lower level"
            )


def check_cmake_list(root, modules, faults):
    text = (root / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"set\(CPX_MODULES([^)]*)\)", text)
    names = found[1].split() if found else []
    for name in sorted(set(names) ^ set(modules)):
        faults.append(f"CMakeLists.txt: '{name}' must stand in CPX_MODULES and in docs/design.md's table, got one of the two")
    for position, name in enumerate(names):
        if name in modules:
            for used in sorted(modules[name].reach & set(names[position:])):
                faults.append(f"CMakeLists.txt: CPX_MODULES lists '{name}' before '{used}', which it uses")


def sources(folder):
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES)


def includes(path):
    """Yields (line number, quote, included name)."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1], found[2]


def owner(root, path):
    """Returns (area, module) of a source: area is include, src, tests, tools or another top folder."""
    parts = path.relative_to(root).parts
    if parts[0] == "include":
        return "include", parts[2] if len(parts) > 3 else None
    return parts[0], parts[1] if len(parts) > 2 else None


def check_private(area, module, path, root, name):
    """Returns a fault of a quoted include that is not of cpx/, or None."""
    if ".." in Path(name).parts:
        return f"includes '{name}' by a path with '..'"
    private = re.match(r"src/(\w+)/", name)
    if private and not (area == "tests" and module in (private[1], "tools")):
        return f"includes the private header '{name}', expected only in tests/{private[1]}"
    if area == "include":
        return f"is public and includes '{name}', expected \"cpx/...\""
    own_folders = (path.parent, root / "src" / module) if area == "src" else ()
    if area == "src" and not private and not any((folder / name).is_file() for folder in own_folders):
        return f"includes '{name}', which is no header of its own folder or module"
    return None


def check_include(place, area, module, modules, path, root, quote, name, faults):
    if quote == "<" and name.startswith("cpx/"):
        faults.append(f'{place}: includes <{name}>, expected quotes')
    if TORCH_HEADER.match(name) and module in modules and area in ("include", "src"):
        if module != "tensor" and "tensor" not in modules[module].reach:
            faults.append(f"{place}: includes '{name}', but '{module}' may not use tensor, the seam to LibTorch")
    if quote == '"' and not name.startswith("cpx/"):
        fault = check_private(area, module, path, root, name)
        if fault:
            faults.append(f"{place}: {fault}")
    used = re.match(r"cpx/(\w+)/", name)
    if not used:
        return
    used = used[1]
    if used not in modules:
        faults.append(f"{place}: includes '{name}': '{used}' is no module of docs/design.md")
    elif not (root / "include" / name).is_file():
        faults.append(f"{place}: includes '{name}', which does not exist")
    elif area == "tools" and used not in TOOL_MODULES:
        faults.append(f"{place}: includes '{name}', but tools may use only {', '.join(sorted(TOOL_MODULES))}")
    elif area in ("include", "src") and used != module and used not in modules[module].reach:
        faults.append(
            f"{place}: includes '{name}', but '{module}' may use only "
            f"{', '.join(sorted(modules[module].reach)) or 'nothing'} (docs/design.md)"
        )


def check_sources(root, modules, faults):
    """Checks all includes; returns module -> the modules that it includes."""
    used = {name: set() for name in modules}
    for area in ("include", "src", "tests", "tools", "benchmarks", "examples"):
        for path in sources(root / area):
            _, module = owner(root, path)
            if area in ("include", "src") and module not in modules:
                faults.append(f"{path.relative_to(root)}: '{module}' is no module of docs/design.md")
                continue
            for number, quote, name in includes(path):
                place = f"{path.relative_to(root)}:{number}"
                check_include(place, area, module, modules, path, root, quote, name, faults)
                found = re.match(r"cpx/(\w+)/", name)
                if found and area in ("include", "src"):
                    used[module].add(found[1])
    return used


def depends_of(text):
    """Returns [(module, its DEPENDS)] of the cpx_add_module calls in a CMake file."""
    text = re.sub(r"#.*", "", text)
    calls = []
    for found in re.finditer(r"cpx_add_module\(\s*(\w+)([^)]*)\)", text):
        words = found[2].split()
        depends = []
        if "DEPENDS" in words:
            for word in words[words.index("DEPENDS") + 1 :]:
                if word in ("SOURCES", "LIBRARIES", "TORCH"):
                    break
                depends.append(word)
        calls.append((found[1], depends))
    return calls


def check_depends(root, modules, used, faults):
    declared = {}
    for path in sorted((root / "src").glob("*/CMakeLists.txt")):
        place = path.relative_to(root)
        for name, depends in depends_of(path.read_text(encoding="utf-8")):
            if name != path.parent.name or name not in modules:
                faults.append(f"{place}: adds the module '{name}', expected '{path.parent.name}' as in docs/design.md")
                continue
            declared[name] = depends
            for other in depends:
                if other not in modules[name].reach:
                    faults.append(f"{place}: '{name}' DEPENDS on '{other}', which docs/design.md does not allow")
    for name in declared:
        covered = reachable(name, declared)
        for other in sorted(used[name] - covered - {name}):
            if other in modules[name].reach:
                faults.append(f"src/{name}/CMakeLists.txt: '{name}' includes headers of '{other}', expected it in DEPENDS")


def reachable(name, declared):
    found, waiting = set(), [name]
    while waiting:
        for other in declared.get(waiting.pop(), []):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def public_types(path):
    """Yields (namespace, name, line number) of the types that a header declares outside of others."""
    namespaces = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        begin = NAMESPACE_BEGIN.match(line)
        if begin:
            namespaces.append(begin[1])
        elif NAMESPACE_END.match(line) and namespaces:
            namespaces.pop()
        found = TYPE.match(line)
        if found and namespaces:
            yield "::".join(namespaces), found[1] or found[2] or found[3], number


def check_type_names(root, faults):
    first = {}  # name -> (namespace, place)
    for path in sources(root / "include"):
        for namespace, name, number in public_types(path):
            place = f"{path.relative_to(root)}:{number}"
            other, other_place = first.setdefault(name, (namespace, place))
            if other != namespace:
                faults.append(
                    f"{place}: the public type '{name}' is in {namespace}, and in {other} too ({other_place}); "
                    "expected a name of its own"
                )


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    faults = []
    modules = read_table(root, faults)
    check_cmake_list(root, modules, faults)
    used = check_sources(root, modules, faults)
    check_depends(root, modules, used, faults)
    check_type_names(root, faults)
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)
    print(f"layers: {len(modules)} modules, no fault")


if __name__ == "__main__":
    main()
