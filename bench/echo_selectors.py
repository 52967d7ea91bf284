"""Echoes on CPython's selectors, after the example in their documentation, and prints the port that it listens on."""

import selectors
import socket

selector = selectors.EpollSelector()
listener = socket.create_server(("127.0.0.1", 0), backlog=socket.SOMAXCONN)


def accept(listener):
    connection, _address = listener.accept()
    selector.register(connection, selectors.EVENT_READ, echo)


def echo(connection):
    data = connection.recv(64 * 1024)
    if data:
        connection.sendall(data)
    else:
        selector.unregister(connection)
        connection.close()


selector.register(listener, selectors.EVENT_READ, accept)
print(listener.getsockname()[1], flush=True)
while True:
    for key, _events in selector.select():
        key.data(key.fileobj)
