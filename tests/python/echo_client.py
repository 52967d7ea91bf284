"""A client on Python's `selectors`: it writes and reads as it can, switches to reading, and ends when all is back."""

import selectors
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
outgoing = [b"It will be repeated.", b"This is the message.  "]
expected = sum(len(message) for message in outgoing)
received = 0

sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
sock.connect((host, port))
sock.setblocking(False)
sel = selectors.DefaultSelector()
sel.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

while received < expected:
    for key, mask in sel.select(timeout=10):
        if mask & selectors.EVENT_READ:
            data = sock.recv(1024)
            if not data:
                sys.exit("the server closed the connection")
            received += len(data)
        if mask & selectors.EVENT_WRITE:
            if outgoing:
                sock.sendall(outgoing.pop())
            else:
                sel.modify(sock, selectors.EVENT_READ)

print("received", received, "bytes")
sel.unregister(sock)
sock.close()
