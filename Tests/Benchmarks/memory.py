#!/usr/bin/env python3
"""How much memory programs take at the most.

  memory.py watch NAME           looks at all processes of that program until SIGTERM, then prints the greatest sums seen
                                 at one time: "PSS-kB RSS-kB"
  memory.py run COMMAND...       runs it and prints its own greatest RSS in kB
"""
import os
import signal
import subprocess
import sys
import time

INTERVAL_SECONDS = 0.02


def field(path, name):
    try:
        with open(path) as file:
            return next((int(line.split()[1]) for line in file if line.startswith(name)), 0)
    except (OSError, ProcessLookupError):
        return 0


def processes(name):
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.basename(os.readlink("/proc/%s/exe" % process)) == name:
                yield process
        except OSError:
            continue


def watch(name):
    greatest = [0, 0]

    def say(*_):
        print(*greatest)
        sys.exit(0)

    signal.signal(signal.SIGTERM, say)
    while True:
        found = list(processes(name))
        sums = [sum(field("/proc/%s/smaps_rollup" % process, kind) for process in found) for kind in ("Pss:", "Rss:")]
        greatest[:] = [max(pair) for pair in zip(greatest, sums)]
        time.sleep(INTERVAL_SECONDS)


def run(command):
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit("memory.py: %s ended with status %d" % (command[0], status))
    print(usage.ru_maxrss)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "watch":
        watch(sys.argv[2])
    elif len(sys.argv) > 2 and sys.argv[1] == "run":
        run(sys.argv[2:])
    else:
        sys.exit(__doc__)
