"""Bytes and names of vectors that pages quote. vectors/README.md has the notation ("Quoting")."""

import re

# Page -> the file of its vectors. The other pages have none.
VECTORS = {
    "teleport.md": "teleport.json",
    "link.md": "fastway.json",
    "snet.md": "snet.json",
    "route.md": "route.json",
    "kcp.md": "kcp.json",
}

# How the names of vectors look in running text, and words that look so and are none.
NAMES = {
    "teleport.md": r"`((?:v2\.\d|malformed|defect)/[^`]+)`",
    "link.md": r"`([a-z0-9]+(?:-[a-z0-9.]+)+)`",
    "snet.md": r"`([a-z0-9]+(?:-[a-z0-9.]+)+)`",
    "route.md": r"`([a-z0-9]+(?:-[a-z0-9.:\[\]]+)+)`",
    "kcp.md": r"(?<![*\w])\*([a-z0-9+][^*\n]*)\*(?![*\w])",
}
NO_NAMES = {
    "route.md": ["host-ip", "server-identify"],
}


def bytes_pattern(tokens):
    """A regular expression for the hex of these words, or None if one is no hex."""
    pattern = ""
    for token in tokens:
        if token == "...":
            pattern += "(?:..)*"
        elif re.fullmatch(r"(?:[0-9a-f]{2})+", token):
            pattern += token
        else:
            return None
    return pattern


def read_quote(lines):
    """[(line, label or None, words)]; words of lines without a label belong to the item before."""
    items = []
    for number, line in enumerate(lines, 1):
        match = re.match(r"([a-z_0-9.]+(?:->[a-z]+)?):(?: (?! )| {2,}|$)", line)
        if match:
            empty = line[match.end() - 2: match.end()] == "  "
            rest = "" if empty else line[match.end():]
            items.append((number, match.group(1), []))
        else:
            rest = line.strip()
            # A gap between steps stands alone.
            if rest == "..." and not line.startswith(" ") and any(i[1] for i in items):
                items.append((number, None, ["..."]))
                continue
            if not items or (items[-1][1] and not line.startswith(" ")):
                items.append((number, None, []))
        items[-1][2].extend(re.split(r" {2,}", rest.strip(), maxsplit=1)[0].split())
    return items


def find_vector(data, name):
    """The entry of that name, or the N-th of a list without names ("dh64 21")."""
    lists = data if isinstance(data, dict) else {"": data}
    for value in list(lists.values()):
        if isinstance(value, dict):
            lists = {**lists, **{k: v for k, v in value.items() if isinstance(v, list)}}
    for entries in lists.values():
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("name") == name:
                return entry
    match = re.fullmatch(r"(\w+) (\d+)", name)
    if match and isinstance(data, dict):
        entries = data.get(match.group(1))
        entries = entries.get("vectors") if isinstance(entries, dict) else entries
        if isinstance(entries, list) and int(match.group(2)) < len(entries):
            return entries[int(match.group(2))]
    return None


def names_of(data):
    """All names in a file of vectors."""
    if isinstance(data, dict):
        here = {data["name"]} if isinstance(data.get("name"), str) else set()
        return here.union(*(names_of(v) for v in data.values()))
    return set().union(*(names_of(v) for v in data)) if isinstance(data, list) else set()


def bytes_of(entry):
    for key in ("hex", "bytes", "identify_frame_hex", "wire_packet"):
        if isinstance(entry.get(key), str):
            return entry[key]
    return None


def steps_of(entry):
    """[(direction, hex)] of a conversation, as far as bytes went over a wire."""
    steps = entry.get("steps") or entry.get("datagrams")
    if not isinstance(steps, list) or not all(isinstance(s, dict) for s in steps):
        return None
    found = []
    for step in steps:
        direction = step.get("direction") or step.get("dir") or ""
        direction = {"c2s": "client->server", "s2c": "server->client"}.get(direction, direction)
        if "hex" in step and "->" in direction and step.get("tcp") != 0:
            found.append((direction, step["hex"]))
    return found


def field_of(fields, label):
    """The field of that name, with or without "_hex"; "packets.0.key" goes into lists and objects."""
    for part in label.split("."):
        if isinstance(fields, list):
            fields = fields[int(part)] if part.isdigit() and int(part) < len(fields) else None
        elif isinstance(fields, dict):
            fields = fields.get(part, fields.get(part + "_hex"))
    return fields


def check_quote(entry, lines):
    """Yields (line in the block, problem)."""
    items = read_quote(lines)
    patterns = [bytes_pattern(words) for _, _, words in items]
    for (number, _, words), pattern in zip(items, patterns):
        if pattern is None:
            yield number, "no hex: %s" % ", ".join(word for word in words if bytes_pattern([word]) is None)
    if None in patterns:
        return
    steps = steps_of(entry)
    if steps is not None:
        at, gap = 0, False
        for (number, label, words), pattern in zip(items, patterns):
            if label is None:
                if words != ["..."]:
                    yield number, "a step needs its direction"
                    return
                gap = True
                continue
            found = next((i for i in range(at, len(steps)) if steps[i][0] == label and re.fullmatch(pattern, steps[i][1])), None)
            if found is None or (found != at and not gap):
                there = "%s: %s" % steps[at] if at < len(steps) else "the end"
                yield number, "the vector has no such step here, but %s" % there
                return
            at, gap = found + 1, False
        if at != len(steps) and not gap:
            yield len(lines), "the vector goes on; end with ..."
        return
    plain = [p for (_, label, _), p in zip(items, patterns) if label is None]
    for (number, label, _), pattern in zip(items, patterns):
        if label is None:
            continue
        value = field_of({**entry, **(entry.get("fields") or {})}, label)
        if not isinstance(value, str):
            yield number, "the vector has no field %s" % label
        elif not re.fullmatch(pattern, value):
            yield number, "%s is %s" % (label, value)
    if plain:
        value = bytes_of(entry)
        if value is None:
            yield 1, "the vector has no bytes of its own"
        elif not re.fullmatch("".join(plain), value):
            yield 1, "the vector is %s" % value


def check_quotes(page, vectors):
    quoted = 0
    for line, info, lines in page.blocks:
        if not info.startswith("vector"):
            continue
        match = re.fullmatch(r"vector (\w+\.json) (.+)", info)
        if not match or match.group(1) not in vectors:
            yield line, "a quote begins with: vector FILE NAME"
            continue
        entry = find_vector(vectors[match.group(1)], match.group(2))
        if entry is None:
            yield line, "%s has no vector %s" % match.groups()
            continue
        quoted += match.group(1) == VECTORS.get(page.name)
        for number, problem in check_quote(entry, lines):
            yield line + number, "%s: %s" % (match.group(2), problem)
    if page.name in VECTORS and not quoted:
        yield 1, "quotes no vector of %s" % VECTORS[page.name]


def check_names(page, vectors):
    """Names of vectors in running text; one that ends in "..." stands for all that begin so."""
    if page.name not in NAMES:
        return
    names = names_of(vectors[VECTORS[page.name]])
    for number, line in page.prose:
        for name in re.findall(NAMES[page.name], line):
            if name in NO_NAMES.get(page.name, []) or name in names:
                continue
            if name.endswith("...") and any(n.startswith(name[:-3]) for n in names):
                continue
            yield number, "%s has no vector %s" % (VECTORS[page.name], name)
