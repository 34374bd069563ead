#!/usr/bin/env python3
"""A TCP proxy that counts what it brings to its clients, and cuts connections as a bad link does.

  cutting-proxy.py LISTEN TO STATISTICS [CUTS BYTES SEED]

LISTEN and TO are HOST:PORT. With CUTS it cuts every connection that is bringing something large, so many times, at
random places of the first BYTES bytes. SIGUSR1 writes "BYTES-BROUGHT CUTS-MADE" to the file STATISTICS.
"""
import os
import random
import selectors
import signal
import socket
import struct
import sys

LARGE_BYTES = 64 << 10
PIECE_BYTES = 16 << 10


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def abort(connection):
    """The other end sees a reset, as when a link goes away."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    connection.close()


class Pair:
    """A client and the server that it talks to."""

    def __init__(self, client, server):
        self.client, self.server, self.brought = client, server, 0

    def other(self, connection):
        return self.server if connection is self.client else self.client


class Proxy:
    def __init__(self, listen, to, statistics, cuts):
        self.to, self.statistics, self.cuts = to, statistics, cuts
        self.brought = self.made = 0
        self.selector = selectors.DefaultSelector()
        self.pairs = set()
        self.listener = socket.create_server(listen)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def write_statistics(self, *_):
        with open(self.statistics + ".new", "w") as file:
            file.write("%d %d\n" % (self.brought, self.made))
        os.rename(self.statistics + ".new", self.statistics)

    def accept(self):
        client, _ = self.listener.accept()
        # What was sent and not received when a connection is cut counts as brought, so it is kept little.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)
        try:
            server = socket.create_connection(self.to)
        except OSError:
            abort(client)
            return
        pair = Pair(client, server)
        self.pairs.add(pair)
        for connection in (client, server):
            connection.settimeout(60)
            self.selector.register(connection, selectors.EVENT_READ, pair)

    def end(self, pair, close=socket.socket.close):
        self.pairs.discard(pair)
        for connection in (pair.client, pair.server):
            self.selector.unregister(connection)
            close(connection)

    def pass_on(self, connection, pair):
        try:
            data = connection.recv(PIECE_BYTES)
            if not data:
                return self.end(pair)
            pair.other(connection).sendall(data)
        except OSError:
            return self.end(pair)
        if connection is pair.server:
            pair.brought += len(data)
            self.brought += len(data)
            self.cut_if_due()

    def cut_if_due(self):
        if not self.cuts or self.brought < self.cuts[0]:
            return
        large = [pair for pair in self.pairs if pair.brought >= LARGE_BYTES]
        if not large:
            return
        self.cuts.pop(0)
        self.made += 1
        for pair in large:
            self.end(pair, abort)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    self.accept()
                elif key.data in self.pairs:
                    self.pass_on(key.fileobj, key.data)


def main(listen, to, statistics, cuts=0, size=0, seed=0):
    generator = random.Random(int(seed))
    places = sorted(generator.randrange(1, int(size)) for _ in range(int(cuts)))
    proxy = Proxy(address(listen), address(to), statistics, places)
    signal.signal(signal.SIGUSR1, proxy.write_statistics)
    proxy.write_statistics()
    proxy.run()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 7):
        sys.exit(__doc__)
    main(*sys.argv[1:])
