"""A page of this directory, taken apart."""

import re


class Page:
    """A page as text without its code blocks, its headings, and its blocks."""

    def __init__(self, name, text):
        self.name = name
        self.text = text
        self.blocks = []  # (line of the fence, its info string, lines)
        self.prose = []  # (line, text)
        block, closes = None, ""
        for number, line in enumerate(text.splitlines(), 1):
            fence = re.match(r"(```+)(.*)$", line)
            if fence and block is None:
                block, closes = (number, fence.group(2).strip(), []), fence.group(1)
            elif block is not None and line == closes:
                self.blocks.append(block)
                block = None
            elif block is not None:
                block[2].append(line)
            else:
                self.prose.append((number, line))
        self.open_fence = block[0] if block else None
        self.headings = [(n, line.lstrip("#").strip()) for n, line in self.prose if re.match(r"#+ ", line)]
        self.anchors = {slug(heading) for _, heading in self.headings}
        self.sections = {m.group(1) for _, h in self.headings for m in [re.match(r"(\d+(?:\.\d+)?)[. ]", h)] if m}


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def table_below(page, heading, columns):
    """Rows of the first table whose header begins with these columns, below a heading that begins so."""
    rows, at, inside = [], False, False
    for _, line in page.prose:
        if re.match(r"#+ ", line):
            if rows:
                break
            at = line.lstrip("#").strip().startswith(heading)
        elif at and line.startswith("|"):
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if inside and not set(line) <= set("|-: "):
                rows.append(cells)
            inside = inside or cells[: len(columns)] == columns
        elif inside and rows:
            break
    return rows
