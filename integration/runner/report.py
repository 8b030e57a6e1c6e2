"""What a run found: text for the terminal, results.json, and a page that opens the logs of each cell."""

import collections
import html
import json

from integration.runner.results import State

COLOURS = {State.green: "#cfe8cf", State.red: "#f3b0b0", State.unsupported: "#e8e8e8", State.no_image: "#f6f0d8"}


def pair_of(cell):
    """Who talks to whom: the columns of the tables."""
    return " - ".join(name for _, name in cell.parties)


def way_of(cell):
    """What tells cells of one case and one pair apart."""
    words = [cell.transport]
    values = dict(cell.parameters)
    if values:
        words += ["v" + values["version"], values["codec"], values["header"] + " header"]
        words += ["gzip %s" % values["gzip"]] if values["gzip"] else []
    return " ".join(words)


def counts(results):
    counted = collections.Counter(result.state for result in results)
    return {state: counted[state] for state in State}


def worst(results):
    """The state that stands for several cells: red before green, and nothing is green that did not run."""
    order = (State.red, State.green, State.unsupported, State.no_image)
    return min((result.state for result in results), key=order.index)


def text(results):
    """A line for each case and pair; each red cell with its reason."""
    groups = collections.OrderedDict()
    for result in results:
        groups.setdefault((result.cell.case.title, pair_of(result.cell)), []).append(result)
    rows = [("case", "between", "cells", "result")]
    unplayed = collections.OrderedDict()
    for (case, pair), group in groups.items():
        state = worst(group)
        if state == State.no_image:
            for result in group:
                for name in result.reason.split(", "):
                    unplayed[name] = unplayed.get(name, 0) + 1
            continue
        shown = {s: n for s, n in counts(group).items() if n}
        rows.append((case, pair, str(len(group)), ", ".join("%d %s" % (n, s.value) for s, n in shown.items())))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]]).rstrip() for row in rows]
    for name, number in sorted(unplayed.items()):
        lines.append("%s: no image given (%d cells)" % (name, number))
    for result in results:
        if result.state == State.red:
            lines.append("RED %s\n    %s" % (result.cell.id, result.reason))
    lines.append(summary(results))
    return "\n".join(lines)


def summary(results):
    counted = counts(results)
    required = [result for result in results if result.is_required]
    required_green = sum(result.state == State.green for result in required)
    independent = sum(result.state == State.green and result.cell.is_independent for result in results)
    return "%s; of the required %d, %d green; %d green between programs that share no code" % (
        ", ".join("%d %s" % (counted[state], state.value) for state in State), len(required), required_green, independent)


def as_json(results, faults=(), meta=None):
    return json.dumps({
        **(meta or {}),
        "counts": {state.value: number for state, number in counts(results).items()},
        "cells": [{
            "id": result.cell.id,
            "case": result.cell.case.name,
            "variant": result.cell.case.variant,
            "promise": result.cell.case.promise,
            "spec": result.cell.case.spec,
            "vectors": list(result.cell.case.vectors),
            "parties": dict(result.cell.parties),
            "transport": result.cell.transport,
            "parameters": dict(result.cell.parameters),
            "result": result.state.value,
            "reason": result.reason,
            "required": result.is_required,
            "counts": result.cell.is_independent,
            "seconds": round(result.seconds, 3),
            "measured": result.measured,
            "logs": list(result.logs),
        } for result in results],
        "faults": [{"name": fault.name, "passed": fault.passed, "promised": fault.promised, "measured": fault.measured,
                    "detail": fault.detail} for fault in faults],
    }, indent=1, default=str)


def faults_text(faults):
    """The table of the fault scenarios."""
    lines = []
    for fault in faults:
        lines.append("%-5s %s" % ("held" if fault.passed else "RED", fault.name))
        lines.append("      promised: %s" % fault.promised)
        if fault.measured:
            lines.append("      measured: %s" % ", ".join("%s %s" % pair for pair in fault.measured.items()))
        if fault.detail and not fault.passed:
            lines.append("      %s" % fault.detail)
    lines.append("%d scenarios, %d held" % (len(faults), sum(fault.passed for fault in faults)))
    return "\n".join(lines)


def page(results, faults=(), title="wayport interop"):
    """One page without scripts: a table for each case, a row for each way, a cell for each pair with a link to its logs."""
    escape = html.escape
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>%s</title><style>" % escape(title),
             "body{font:14px/1.4 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;margin:.5rem 0 2rem}",
             "td,th{border:1px solid #bbb;padding:.2rem .5rem;text-align:left;vertical-align:top;font-weight:normal}",
             "th{background:#f4f4f4}details{max-width:40rem}pre{white-space:pre-wrap}.r{font-weight:bold}</style>",
             "<h1>%s</h1><p>%s</p>" % (escape(title), escape(summary(results))), "<p>"]
    for state in State:
        parts.append("<span style='background:%s;padding:.2rem .5rem'>%s</span> " % (COLOURS[state], escape(state.value)))
    parts.append("bold: required</p>")
    cases = collections.OrderedDict()
    for result in results:
        cases.setdefault(result.cell.case.title, []).append(result)
    for name, group in cases.items():
        case = group[0].cell.case
        parts.append("<h2>%s</h2><p>%s <i>%s</i></p>" % (escape(name), escape(case.promise), escape("spec: " + case.spec)))
        pairs = list(collections.OrderedDict.fromkeys(pair_of(result.cell) for result in group))
        ways = list(collections.OrderedDict.fromkeys(way_of(result.cell) for result in group))
        cells = {}
        for result in group:
            # Of a cell that ran several times a red result stands for all.
            place = (pair_of(result.cell), way_of(result.cell))
            if place not in cells or result.state == State.red:
                cells[place] = result
        parts.append("<table><tr><th>%s</th>" % escape(" - ".join(party for party, _ in group[0].cell.parties)))
        parts += ["<th>%s</th>" % escape(way) for way in ways]
        parts.append("</tr>")
        for pair in pairs:
            parts.append("<tr><th>%s</th>" % escape(pair))
            for way in ways:
                parts.append(_cell(cells.get((pair, way))))
            parts.append("</tr>")
        parts.append("</table>")
    if faults:
        parts.append("<h2>Faults</h2><table><tr><th>scenario<th>result<th>promised<th>measured</tr>")
        for fault in faults:
            state = State.green if fault.passed else State.red
            measured = ", ".join("%s %s" % pair for pair in fault.measured.items())
            detail = "<details><summary>more</summary><pre>%s</pre></details>" % escape(str(fault.detail)) if fault.detail else ""
            parts.append("<tr><td>%s<td style='background:%s'>%s<td>%s<td>%s%s</tr>" % (
                escape(fault.name), COLOURS[state], "held" if fault.passed else "RED", escape(fault.promised), escape(measured), detail))
        parts.append("</table>")
    return "".join(parts) + "</html>\n"


def _cell(result):
    if result is None:
        return "<td></td>"
    escape = html.escape
    mark = " class=r" if result.is_required else ""
    links = " ".join("<a href='%s'>%s</a>" % (escape(path, quote=True), escape(path.rpartition("/")[2])) for path in result.logs)
    inner = ""
    if result.logs or result.reason:
        inner = "<details><summary>%s</summary>%s<br>%s %.1f s<br>%s</details>" % (
            escape(result.state.value), escape(result.reason), links, result.seconds,
            escape(json.dumps(result.measured)) if result.measured else "")
    return "<td%s style='background:%s'>%s</td>" % (mark, COLOURS[result.state], inner or escape(result.state.value))
