# SPDX-License-Identifier: Apache-2.0
"""Which bodies of if, for and while have braces; the rule stands in scripts/check_house.py."""

import re

COLUMNS = 100
BRANCH = re.compile(r"\b(if|for|while)( constexpr)? ?\(")
SHORT_BODY = "braces around one short statement"
BARE_CHAIN = "no braces in an if with an else"
LONG_BODY = "no braces around a body that does not fit on its head's line"


def brace_faults(source):
    """Returns (start of the head, start and end of the body, what is wrong) for each wrong body."""
    found = []
    for head in BRANCH.finditer(source.code):
        closing = source.closing.get(head.end() - 1)
        if closing is None or is_do_while(source, head):
            continue
        body = closing + 1 + len(source.code[closing + 1 :]) - len(source.code[closing + 1 :].lstrip())
        if source.code[body] == "{":
            end = source.closing.get(body)
            if end is not None and is_short(source, head, closing, body, end):
                found.append((head.start(), body, end + 1, SHORT_BODY))
        elif source.code[body] != ";":
            end = statement_end(source, body)
            what = bare_fault(source, head, body, end)
            if what:
                found.append((head.start(), body, end, what))
    for head in re.finditer(r"\belse\b(?!\s*(\{|if\b))", source.code):
        found.append((head.start(), head.end(), head.end(), BARE_CHAIN))
    return found


def is_do_while(source, head):
    return head[1] == "while" and source.code[: head.start()].rstrip().endswith("}") and (
        re.match(r"\s*;", source.code[source.closing[head.end() - 1] + 1 :]) is not None
    )


def belongs_to_chain(source, head, end):
    """Says whether an if has an else, or is one."""
    is_else = source.code[: head.start()].rstrip().endswith("else")
    return is_else or re.match(r"\s*else\b", source.code[end:]) is not None


def is_short(source, head, closing, body, end):
    """Says whether a body in braces is one statement that fits on its head's line."""
    inside, code = source.text[body + 1 : end].strip(), source.code[body + 1 : end].strip()
    if not code.endswith(";") or code.count(";") != 1 or "//" in inside or "/*" in inside or re.search(r"^\s*#", inside, re.M):
        return False
    if re.match(r"(if|for|while|switch|do|try|case|default)\b", code) or belongs_to_chain(source, head, end + 1):
        return False
    # googletest's macros hold an if with an else, which compilers warn of within a bare if.
    if head[1] == "if" and re.match(r"(EXPECT|ASSERT)_", code):
        return False
    line = source.text[source.starts[source.line_of(head.start()) - 1] : closing + 1] + " " + inside
    return "//" not in source.text[head.start() : closing] and len(joined(line)) <= COLUMNS


def joined(text):
    """Returns code of several lines as one line, with the indentation of the first."""
    return re.sub(r"\s*\n\s*", " ", re.sub(r"([(\[{])\s*\n\s*", r"\1", text.rstrip()))


def statement_end(source, body):
    """Returns the end of the statement without braces that begins at `body`."""
    position = body
    while source.code[position] != ";":
        step = source.closing.get(position)
        position = step if step is not None else position
        position += 1
    return position + 1


def bare_fault(source, head, body, end):
    if source.line_of(head.start()) != source.line_of(end - 1):
        return LONG_BODY
    if head[1] == "if" and belongs_to_chain(source, head, end):
        return BARE_CHAIN
    return None


def with_right_braces(source):
    """Returns the text of a source with braces as the rule has them, before clang-format."""
    text, limit = source.text, len(source.text)
    for _, body, end, what in sorted(brace_faults(source), reverse=True):
        if end > limit:
            continue  # around one that was changed just now: the next pass has it
        inside = text[body:end]
        if what == SHORT_BODY:
            text = f"{text[:body].rstrip()} {joined(inside[1:-1].strip())}{text[end:]}"
        elif what == LONG_BODY:
            text = f"{text[:body]}{{\n{inside}\n}}{text[end:]}"
        limit = body
    return text
