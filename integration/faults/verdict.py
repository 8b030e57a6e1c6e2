"""What has to hold after every fault, and what came: one line of the fault table."""

import dataclasses

# A call that was lost with its connection, or one that was never executed: the caller is told which. All else is a mistake of ours.
TYPED = frozenset(["101 in doubt", "100 not executed", "101 not executed", "503 not executed", "504 not executed"])


@dataclasses.dataclass
class Result:
    """One line of the fault table."""

    name: str
    passed: bool
    promised: str
    measured: dict
    detail: str = ""


class Verdict:
    """Collects what was expected and what came."""

    def __init__(self, name, promised):
        self.name = name
        self.promised = promised
        self.measured = {}
        self._broken = []

    def expect(self, is_true, text):
        if not is_true:
            self._broken.append(text)

    def result(self):
        return Result(self.name, not self._broken, self.promised, self.measured, "; ".join(self._broken))

    def outcomes(self, client, servers, may_fail):
        """What holds after every fault: each call has one outcome, replies are what was executed, nothing ran twice."""
        executed = sum(server["executed"] for server in servers)
        doubled = sum(server["doubled"] for server in servers)
        failed = sum(client["failed"].values())
        in_doubt = sum(count for how, count in client["failed"].items() if how.endswith("in doubt"))
        self.measured.update({
            "calls": client["begun"], "replied": client["replied"], "failed": client["failed"] or 0, "doubled": doubled,
            "dials": client["dials"], "repeated": client["repeated"], "longest stall ms": client["longest_stall_ms"],
            "stalls ms": {name: count for name, count in client["stalls_ms"].items() if count and name != "<50"} or "none over 50"})
        self.expect(client["replied"] > 0, "no call was answered")
        self.expect(client["without_outcome"] == 0, "%d calls have no outcome" % client["without_outcome"])
        self.expect(client["wrong"] == 0, "%d replies are wrong" % client["wrong"])
        self.expect(doubled == 0, "%d calls were executed twice" % doubled)
        if not any(server.get("lost") for server in servers):
            self.expect(client["replied"] <= executed <= client["replied"] + in_doubt,
                        "%d executed, %d replied and %d in doubt do not fit" % (executed, client["replied"], in_doubt))
        untyped = sorted(set(client["failed"]) - TYPED)
        self.expect(not untyped, "calls failed with %s" % ", ".join(untyped))
        if not may_fail:
            self.expect(failed == 0, "%d calls failed" % failed)

    def stall(self, client, milliseconds_max):
        self.expect(client["longest_stall_ms"] <= milliseconds_max,
                    "a client had no reply for %d ms, %d are promised" % (client["longest_stall_ms"], milliseconds_max))
