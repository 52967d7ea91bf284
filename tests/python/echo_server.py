"""The echo server of Python's documentation of `selectors`, on a port that the system chooses."""

import selectors
import socket
import sys

sel = selectors.DefaultSelector()


def accept(sock, mask):
    conn, _ = sock.accept()
    conn.setblocking(False)
    sel.register(conn, selectors.EVENT_READ, read)


def read(conn, mask):
    data = conn.recv(1000)
    if data:
        conn.send(data)
    else:
        sel.unregister(conn)
        conn.close()


host = sys.argv[1]
sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
sock.bind((host, 0))
sock.listen(100)
sock.setblocking(False)
sel.register(sock, selectors.EVENT_READ, accept)
print("listening on port", sock.getsockname()[1])

while True:
    for key, mask in sel.select():
        key.data(key.fileobj, mask)
