#!/usr/bin/env python3
"""What of a program runs, for provisioning/agent-order.sh.

  agent_order.py lines < TRACE       valgrind's lackey trace to the 16-byte lines that were touched, in hexadecimal
  agent_order.py order MAP LINES...  the sections of the linker's map that these lines lie in, those of the first file first
"""
import bisect
import re
import sys

# The program lies low, at fixed addresses, as it is linked without position independence.
PROGRAM_END = 64 << 20
KINDS = (".text.", ".rodata.", ".data.", ".bss.")
# Merged by the linker, or written once at the start; not to be moved.
FIXED = (".rodata.str", ".rodata.cst", ".data.rel")


def lines():
    seen = set()
    for access in sys.stdin.buffer:
        # "I  04001000,3" for an instruction; " L", " S" and " M" for data.
        if access[:1] not in b"I ":
            continue
        address, comma, _ = access[3:].partition(b",")
        try:
            value = int(address, 16)
        except ValueError:
            continue
        if comma and value < PROGRAM_END:
            seen.add(value >> 4)
    for line in sorted(seen):
        print("%x" % (line << 4))


def sections(path):
    """(address, size, name) of each input section, in the order of their addresses."""
    found, name, inside = [], None, False
    with open(path, errors="replace") as file:
        for line in file:
            inside = inside or line.startswith("Memory map")
            match = inside and re.match(r"^ (\S+)?\s*(?:0x([0-9a-f]+)\s+0x([0-9a-f]+) \S.*)?$", line)
            if not match:
                continue
            name = match[1] or name
            if match[2] and name:
                found.append((int(match[2], 16), int(match[3], 16), name))
                name = None
    return sorted(section for section in found if section[1])


def touched(path, known, starts):
    with open(path) as file:
        for line in file:
            address = int(line, 16)
            index = bisect.bisect_right(starts, address + 15) - 1
            # A line may hold several small sections.
            while index >= 0 and address < known[index][0] + known[index][1]:
                yield known[index]
                index -= 1


def order(map_path, traces):
    known = sections(map_path)
    starts = [section[0] for section in known]
    done = set()
    for trace in traces:
        new = {}
        for address, _, name in touched(trace, known, starts):
            movable = name.startswith(KINDS) and not name.startswith(FIXED) and not set("*?[") & set(name)
            if movable and name not in done:
                done.add(name)
                new[name] = address
        for name in sorted(new, key=lambda name: (name.split(".")[1], new[name])):
            print(name)


if __name__ == "__main__":
    if sys.argv[1:] == ["lines"]:
        lines()
    elif len(sys.argv) > 3 and sys.argv[1] == "order":
        order(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)
