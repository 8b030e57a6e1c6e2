"""The first process of a container in which a gateway is replaced by its successor: hands SIGUSR2 on, and stays while there is one.

    python3 holder.py PID_FILE PROGRAM ARGUMENTS...
"""

import os
import signal
import subprocess
import sys
import time

pid_file, *words = sys.argv[1:]


def serving():
    try:
        with open(pid_file, encoding="utf-8") as file:
            return int(file.read())
    except (OSError, ValueError):
        return first.pid


first = subprocess.Popen(words)
signal.signal(signal.SIGUSR2, lambda *unused: os.kill(serving(), signal.SIGUSR2))
signal.signal(signal.SIGTERM, lambda *unused: os.kill(serving(), signal.SIGTERM))
status = 0
while True:
    try:
        # Successors become children of the first process when those that started them end.
        pid, ended = os.waitpid(-1, 0)
        status = os.waitstatus_to_exitcode(ended)
        print("process %d ended with %d" % (pid, status), flush=True)
    except InterruptedError:
        time.sleep(0)
    except ChildProcessError:
        sys.exit(status if status >= 0 else 128 - status)
