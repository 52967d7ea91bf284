// Echoes on `node:net`, for Node and for Deno, and prints the port that it listens on.

import { createServer } from "node:net";

const server = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
