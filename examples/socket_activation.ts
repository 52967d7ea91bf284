/**
 * Serves on listening sockets that the parent process has opened, for example systemd.
 *
 * This lets the first connection start the server, and lets the server use a privileged port without privileges. The
 * sockets are descriptors 3 and up; LISTEN_FDS is their count, and LISTEN_PID is the ID of the process that may use
 * them. The server sends the time to each connection. Ctrl-C ends the server.
 *
 * ```sh
 * systemd-socket-activate -l 8004 \
 *   deno run --allow-ffi --allow-env jsr:@selectors/selectors/examples/socket-activation
 * # in another terminal:
 * nc 127.0.0.1 8004
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, OSError } from "@selectors/selectors";
import { Socket } from "@selectors/selectors/socket";

const FIRST = 3; // SD_LISTEN_FDS_START of sd_listen_fds(3)
const count = Deno.env.get("LISTEN_PID") === String(Deno.pid) ? Number(Deno.env.get("LISTEN_FDS")) : 0;
if (count === 0) {
  console.error("socket_activation: no sockets were passed; try: systemd-socket-activate -l 8004 deno run …");
  Deno.exit(1);
}
const selector = new DefaultSelector<undefined, Socket>();
for (let fd = FIRST; fd < FIRST + count; fd++) {
  const listener = Socket.fromFd(fd);
  listener.setBlocking(false);
  selector.register(listener, EVENT_READ);
  console.log("Listening at", listener.getsockname());
}

Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  // On a second Ctrl-C, the selector is closed, and getMap() is null.
  for (const { fileobj: listener } of selector.getMap()?.values() ?? []) listener.close();
  selector.close(); // ends the loop
});

for await (const [{ fileobj: listener }] of selector) {
  try {
    using connection = listener.tryAccept()?.[0];
    connection?.sendAll(new TextEncoder().encode(`${new Date().toISOString()}\n`)); // one line always fits
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    // If accept() failed, then usually with EMFILE: too many files are open.
    if (error.syscall === "accept") await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
