"""A way to Postgres on which single connections can go dead while they stay open."""

import socket
import threading

CHUNK = 1 << 16
LISTEN = b"LISTEN"


class Proxy:
    """Passes bytes on in both directions, each in a thread."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.links = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze_listeners(self):
        """From now on connections on which somebody said LISTEN swallow all bytes; says how many that are."""
        found = [link for link in self.links if link.listens and not link.frozen]
        for link in found:
            link.frozen = True
        return len(found)

    def close(self):
        """Ends all connections, the frozen ones too."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.links:
            link.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.links.append(Link(client, socket.create_connection(self.target)))


class Link:
    """One connection, and the one behind it."""

    def __init__(self, client, server):
        self.ends = (client, server)
        self.listens = False
        self.frozen = False
        for end in self.ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target in (self.ends, self.ends[::-1]):
            threading.Thread(target=self._pass_on, args=[source, target], daemon=True).start()

    def close(self):
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already

    def _pass_on(self, source, target):
        said = b""
        try:
            while data := source.recv(CHUNK):
                said = said[1 - len(LISTEN) :] + data
                self.listens = self.listens or (source is self.ends[0] and LISTEN in said)
                if not self.frozen:
                    target.sendall(data)
        except OSError:
            pass  # an end is gone; so is the connection
        if not self.frozen:
            self.close()
