"""Runs a program of others as one party of a cell: its settings from the environment, its end from SIGTERM (CONTRACT.md)."""

import os
import signal
import socket
import subprocess
import sys
import time

READY_SECONDS_MAX = 20


def setting(name, default=None):
    value = os.environ.get(name, default)
    if value is None:
        print("%s is not set" % name, file=sys.stderr)
        sys.exit(1)
    return value


def not_supported(what):
    print("not supported: %s" % what, file=sys.stderr)
    sys.exit(127)


def accepts(port):
    """Whether somebody listens at a port of this container."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listens(port):
    """The same without connecting: looks whether the port is taken."""
    wanted = "%04X" % port
    for table in ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"):
        try:
            with open(table) as lines:
                for line in list(lines)[1:]:
                    fields = line.split()
                    if fields[1].endswith(":" + wanted) and fields[3] in ("0A", "07"):
                        return True
        except OSError:
            continue
    return False


def run(commands, ready, then=lambda: None):
    """Starts the programs one after the other, waits until `ready` says yes, prints READY, and ends with the first that ends."""
    processes = []

    def stop(*unused):
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    for command in commands:
        processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not ready():
        if any(process.poll() is not None for process in processes):
            print("%s ended with %s" % (commands[0][0], [process.poll() for process in processes]), file=sys.stderr)
            sys.exit(1)
        if time.monotonic() > deadline:
            print("%s does not listen" % commands[0][0], file=sys.stderr)
            sys.exit(1)
        time.sleep(0.05)
    then()
    print("READY", flush=True)
    while all(process.poll() is None for process in processes):
        time.sleep(0.1)
    print("ended: %s" % [process.poll() for process in processes], file=sys.stderr)
    sys.exit(1)
