# SPDX-License-Identifier: Apache-2.0
"""Reads a C++ source as far as scripts/check_house.py asks: code without comments, brackets, declarations."""

import bisect
import re

HEADER_SUFFIXES = {".h", ".cuh"}

# A comment, a raw text, a text or a character; digit separators are none of them.
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^()\\ \n]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])+\'', re.S
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
ACCESS = re.compile(r"\b(public|protected|private)\s*:(?!:)")
TYPE_HEAD = re.compile(r"\b(class|struct|union|enum(?:\s+class)?)\s+(?:\[\[[^\]]*\]\]\s*|alignas\([^)]*\)\s*)*([A-Za-z_]\w*)")


def blanked(text):
    """Returns `text` of the same length, without directives and what stands in comments and texts."""

    def hidden(found):
        token = found[0]
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        start = token.index('"') if '"' in token[:2] else 0
        return token[: start + 1] + re.sub(r"[^\n]", "_", token[start + 1 : -1]) + token[-1]

    return DIRECTIVE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), TOKEN.sub(hidden, text))


def without_templates(text):
    """Returns code without what stands in angle brackets, up to four deep."""
    for _ in range(4):
        text = re.sub(r"(?<=[\w>:\]])\s*<[^<>=]*>", "", text)
    return text


class Source:
    """A C++ source: its text, its code without comments and texts, and where each line begins."""

    def __init__(self, root, path, text=None):
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8") if text is None else text
        self.lines = self.text.split("\n")
        self.code = blanked(self.text)
        self.is_header = path.suffix in HEADER_SUFFIXES
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.closing = self.match_brackets()
        self.declarations = []
        self.read_scope(0, len(self.code), (), is_public=True, in_type=False)

    def line_of(self, position):
        """Returns the number, from 1, of the line that `position` lies in."""
        return bisect.bisect_right(self.starts, position)

    def place(self, position):
        return f"{self.name}:{self.line_of(position)}"

    def match_brackets(self):
        """Returns position of an opening bracket -> position of its closing one."""
        closing, open_ones = {}, []
        for found in re.finditer(r"[(){}]", self.code):
            if found[0] in "({":
                open_ones.append(found.start())
            elif open_ones:
                closing[open_ones.pop()] = found.start()
        return closing

    def read_scope(self, begin, end, names, is_public, in_type):
        """Collects the declarations between `begin` and `end`: a namespace's or a type's."""
        head, position = begin, begin
        stop = re.compile(r"[({;:]")
        while True:
            found = stop.search(self.code, position, end)
            if not found:
                return
            at, mark = found.start(), found[0]
            position = at + 1
            if mark == "(":
                position = self.closing.get(at, at) + 1
            elif mark == ":":
                access = ACCESS.match(self.code, self.word_start(at))
                if in_type and access and access.end() == at + 1:
                    is_public, head = access[1] == "public", at + 1
            elif mark == ";":
                self.add("declaration", head, at, at, names, is_public, in_type)
                head = position
            else:
                position = self.read_block(head, at, self.closing.get(at, end), names, is_public, in_type)
                if self.kind_of(self.code[head:at].strip()) != "value":
                    head = position

    def word_start(self, position):
        while position > 0 and (self.code[position - 1].isalnum() or self.code[position - 1] in "_ "):
            position -= 1
        return position + len(self.code[position:]) - len(self.code[position:].lstrip())

    @staticmethod
    def kind_of(text):
        """Says what a brace behind `text` opens; "value" does not end its declaration: `= {...};`."""
        text = re.sub(r"\[\[[^\]]*\]\]", "", text)
        if re.search(r"(^|\s)(inline\s+)?namespace(\s|$)", text) or text.endswith('"C"') or re.match(r'extern\s+"_*"$', text):
            return "namespace"
        bare = without_templates(text)
        if TYPE_HEAD.search(bare) and not re.search(r"[()]", re.sub(r"alignas\([^)]*\)", "", bare)):
            return "type"
        if re.search(r"\boperator\s*=+\s*\(", bare):
            return "function"
        if re.search(r"(?<![=!<>])=(?!=)\s*[^()]*$", bare):
            return "value"
        # A member that a constructor's list initialises: `) : names_`, or after a comma.
        if re.search(r"\)\s*(noexcept\s*)?:(?!:)[^{}]*[\w>]$", bare) and not bare.endswith(("const", "noexcept", "override")):
            return "value"
        return "function" if "(" in bare else "value"

    def read_block(self, head, at, close, names, is_public, in_type):
        """Reads what a brace at `at` opens; returns where to go on."""
        text = self.code[head:at].strip()
        kind = self.kind_of(text)
        if kind == "namespace":
            name = re.search(r"namespace\s+([\w:]+)\s*$", text)
            inner = names + (tuple(name[1].split("::")) if name else ("",))
            self.read_scope(at + 1, close, inner, is_public=True, in_type=False)
        elif kind == "type":
            self.add("type", head, at, close, names, is_public, in_type)
            name = TYPE_HEAD.search(text)
            if not name[1].startswith("enum"):
                self.read_scope(at + 1, close, names + (name[2],), is_public and name[1] != "class", in_type=True)
        elif kind == "function":
            self.add("function", head, at, close, names, is_public, in_type)
        return close + 1

    def add(self, kind, head, at, close, names, is_public, in_type):
        text = self.code[head:at]
        start = head + len(text) - len(text.lstrip())
        if text.strip():
            self.declarations.append(Declaration(self, kind, start, at, close, names, is_public, in_type))


class Declaration:
    """A type or a function with its body, or what ends with a semicolon."""

    def __init__(self, source, kind, start, at, close, names, is_public, in_type):
        self.source, self.kind, self.start, self.close = source, kind, start, close
        self.names, self.is_public, self.in_type = names, is_public, in_type
        self.text = " ".join(source.code[start:at].split())

    def num_lines(self):
        return self.source.line_of(self.close) - self.source.line_of(self.start) + 1

    def is_visible(self):
        """Says whether other files may use it."""
        return self.is_public and "" not in self.names and "detail" not in self.names

    def type_name(self):
        found = TYPE_HEAD.search(re.sub(r"^template\s*<[^{]*>\s*(?=(class|struct)\b)", "", self.text))
        return found[2] if found else None

    def function_name(self):
        """Returns the name of a declared function, or None."""
        text = re.sub(r"\[\[[^\]]*\]\]", "", self.text)
        if self.kind == "type" or re.match(r"(using|typedef|friend|static_assert|extern)\b", text):
            return None
        text = without_templates(re.sub(r"\boperator\s*[^\w\s]+", "operator_", text))
        found = re.search(r"(~?\b[A-Za-z_]\w*)\s*\(", text)
        if not found or re.search(r"(?<![=!<>])=(?!=)", text[: found.start()]):
            return None
        return None if found[1] in ("decltype", "alignas", "requires", "TORCH_MODULE") else found[1]

    def comment_above(self):
        """Returns the last line of the comment above, or an empty text."""
        line = self.source.line_of(self.start) - 2
        text = self.source.lines[line].strip() if line >= 0 else ""
        return text if text.startswith("//") else ""
