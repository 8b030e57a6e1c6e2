"""What the distribution knows of a file or a package: owner, version, licence."""

import collections
import functools
import os
import re
import subprocess

Package = collections.namedtuple("Package", ["name", "version", "architecture", "source", "source_version"])

# Debian's short names of licences (copyright-format/1.0) and those of SPDX. What is not here stays unnamed, with the
# short name in a comment.
SPDX_NAMES = {
    "Apache-2.0": "Apache-2.0",
    "Artistic": "Artistic-1.0-Perl",
    "BSD-2-clause": "BSD-2-Clause",
    "BSD-3-clause": "BSD-3-Clause",
    "BSL-1.0": "BSL-1.0",
    "Boost": "BSL-1.0",
    "CC0-1.0": "CC0-1.0",
    "Expat": "MIT",
    "GPL-2": "GPL-2.0-only",
    "GPL-2+": "GPL-2.0-or-later",
    "GPL-3": "GPL-3.0-only",
    "GPL-3+": "GPL-3.0-or-later",
    "ISC": "ISC",
    "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later",
    "MIT": "MIT",
    "MPL-2.0": "MPL-2.0",
    "Zlib": "Zlib",
}
COMMON_LICENSES = "/usr/share/common-licenses/"


class Problem(Exception):
    """What the user has to mend; no traceback."""


def _query(*arguments):
    try:
        return subprocess.run(["dpkg-query"] + list(arguments), capture_output=True, text=True)
    except OSError as error:
        raise Problem("dpkg-query does not run (%s): the libraries of the image come from Debian's packages" % error)


@functools.lru_cache(maxsize=None)
def package(name):
    """The installed package; None if there is none of this name."""
    fields = ["binary:Package", "Version", "Architecture", "source:Package", "source:Version", "db:Status-Status"]
    found = _query("-W", "-f", "\t".join("${%s}" % f for f in fields) + "\n", name)
    for line in found.stdout.splitlines():
        values = line.split("\t")
        if values[5] == "installed":
            return Package(values[0].partition(":")[0], *values[1:5])
    return None


@functools.lru_cache(maxsize=None)
def owner(path):
    """The package that a file came with; None if none did. Knows that /lib is a link to /usr/lib, which dpkg does not."""
    names = []
    for known in (path, os.path.realpath(path)):
        names += [known, known[len("/usr"):] if known.startswith("/usr/") else "/usr" + known]
    owners = {}
    for line in _query("-S", *names).stdout.splitlines():
        packages, _, where = line.rpartition(": ")
        if not packages.startswith("diversion"):
            owners.setdefault(where, packages.split(",")[0].strip())
    found = [owners[name] for name in names if name in owners]
    return package(found[0]) if found else None


def copyright_text(name):
    """Of a package; None if it has none."""
    try:
        with open("/usr/share/doc/%s/copyright" % name, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def licences(text):
    """Short names in a machine-readable copyright file: (of most files, of all, sorted); (None, []) if it is not one."""
    if not re.match(r"(?i)\s*Format(-Specification)?:\s*\S*(copyright-format|dep5|dep\.debian)", text or ""):
        return None, []
    most, every = None, set()
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", paragraph))
        if "License" not in fields or "Files" not in fields:
            continue
        name = fields["License"].splitlines()[0].strip() if fields["License"] else ""
        if not name:
            continue
        every.add(name)
        if "*" in fields["Files"].split():
            most = name
    return most, sorted(every)


def spdx_expression(name):
    """"Apache-2.0 or GPL-2+" -> "Apache-2.0 OR GPL-2.0-or-later"; None if a part is unknown."""
    if not name:
        return None
    alternatives = []
    for alternative in re.split(r"\s+or\s+|\s*\|\s*", name):
        parts = [SPDX_NAMES.get(part.strip()) for part in re.split(r"\s+and\s+", alternative)]
        if None in parts:
            return None
        alternatives.append(" AND ".join(parts))
    return " OR ".join("(%s)" % a if " AND " in a and len(alternatives) > 1 else a for a in alternatives)


def referenced_licences(text):
    """Names below /usr/share/common-licenses that a copyright file refers to, as far as they are there."""
    found = set()
    for name in re.findall(re.escape(COMMON_LICENSES) + r"([A-Za-z0-9][\w.+-]*)", text):
        name = name.rstrip(".")
        if os.path.isfile(COMMON_LICENSES + name):
            found.add(name)
    return found
