"""usage: dissector_check.py CHECK WAYPORT_LUA WAYPORT VECTORS_DIRECTORY

Prints what was compared; exits with 1 and the problems on standard error if something differs.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import hostile_check  # noqa: E402
import teleport_check  # noqa: E402
import tls_check  # noqa: E402
import vectors_check  # noqa: E402
from captures import Tshark  # noqa: E402

PROBLEMS_SHOWN = 20


def checks(tshark, wayport, vectors):
    return {
        "teleport": lambda: teleport_check.check_packets(tshark, wayport, vectors),
        "teleport_malformed": lambda: teleport_check.check_malformed(tshark, wayport, vectors),
        "teleport_cut": lambda: teleport_check.check_cut(tshark, vectors),
        "teleport_drain": lambda: teleport_check.check_drain(tshark, vectors),
        "link": lambda: vectors_check.check_link(tshark, vectors),
        "link_malformed": lambda: vectors_check.check_link_malformed(tshark, vectors),
        "snet": lambda: vectors_check.check_snet(tshark, vectors),
        "snet_malformed": lambda: vectors_check.check_snet_malformed(tshark, vectors),
        "route": lambda: vectors_check.check_route(tshark, vectors),
        "kcp": lambda: vectors_check.check_kcp(tshark, vectors),
        "kcp_malformed": lambda: hostile_check.check_kcp_malformed(tshark, vectors),
        "kcp_extension": lambda: hostile_check.check_kcp_extension(tshark, vectors),
        "tls": lambda: tls_check.check(tshark, vectors),
        "mutations": lambda: hostile_check.check_mutations(tshark, vectors),
        "ports": lambda: hostile_check.check_ports(tshark, vectors),
    }


def main(check, script, wayport, directory):
    vectors = {}
    for name in ("teleport", "fastway", "snet", "kcp", "route"):
        with open(os.path.join(directory, name + ".json"), encoding="utf-8") as file:
            vectors[name] = json.load(file)
    try:
        compared, problems = checks(Tshark(script), wayport, vectors)[check]()
    except AssertionError as error:
        compared, problems = "", [str(error)]
    for problem in problems[:PROBLEMS_SHOWN]:
        print(problem, file=sys.stderr)
    if len(problems) > PROBLEMS_SHOWN:
        print("and %d more" % (len(problems) - PROBLEMS_SHOWN), file=sys.stderr)
    print(compared)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
