// Echoes on `Bun.listen`, and prints the port that it listens on.

/** The unsent bytes of each peer. */
const unsent = new Map();

function send(socket, data) {
  const sent = socket.write(data);
  if (sent < data.length) unsent.set(socket, data.slice(Math.max(sent, 0)));
  else unsent.delete(socket);
}

const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket, data) {
      const before = unsent.get(socket);
      if (before === undefined) send(socket, data);
      else unsent.set(socket, Buffer.concat([before, data]));
    },
    drain(socket) {
      if (unsent.has(socket)) send(socket, unsent.get(socket));
    },
    close(socket) {
      unsent.delete(socket);
    },
  },
});
console.log(server.port);
