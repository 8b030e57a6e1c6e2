"""Prints "passed failed" for one Bazel run, from its build event file; names the failures on stderr.

A target that does not build is a failure, like a test that does not pass.
"""

import json
import sys


def count(lines):
    """Returns the number of passed tests, and what failed."""
    passed, failed = 0, []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # cut off: Bazel died; its exit status tells
            continue
        kind = next(iter(event.get("id", {})), None)
        if kind == "testSummary":
            if event["testSummary"].get("overallStatus") == "PASSED":
                passed += 1
            else:
                failed.append(event["id"][kind]["label"])
        elif kind == "targetCompleted" and not event.get("completed", {}).get("success"):
            if event.get("aborted", {}).get("reason") != "SKIPPED":
                failed.append(event["id"][kind]["label"] + " (does not build)")
    return passed, failed


def main():
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            passed, failed = count(file)
    except OSError:  # Bazel did not come as far as writing it
        passed, failed = 0, []
    for label in failed:
        print("FAILED:", label, file=sys.stderr)
    print(passed, len(failed))


if __name__ == "__main__":
    main()
