/**
 * Accepts connections in one process, and serves them in others.
 *
 * The parent sends the descriptor of each connection over a Unix socket pair to a child, each child in turn. A child runs
 * the same program, and gets its end of the pair as standard input. It tells each client who serves it, and then echoes.
 * A server that restarts its workers one by one, or gives them fewer permissions, works in this way. Ctrl-C ends all.
 *
 * ```sh
 * deno run --allow-ffi --allow-run --allow-env jsr:@selectors/selectors/examples/pass-connections 8009 2
 * nc 127.0.0.1 8009
 * ```
 *
 * @module
 */

import { spawn } from "node:child_process";
import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "@selectors/selectors";
import { createServer, Socket, socketpair } from "@selectors/selectors/socket";

const [first = "8009", count = "2"] = Deno.args;
if (first === "child") await serve(Socket.fromFd(0));
else await accept(Number(first), Number(count));

/** The parent: accepts connections and gives them away. */
async function accept(wanted: number, count: number): Promise<void> {
  using listener = createServer({ hostname: "127.0.0.1", port: wanted });
  const children = Array.from({ length: count }, startChild);
  listener.setBlocking(false);
  using selector = new DefaultSelector<undefined, Socket>();
  selector.register(listener, EVENT_READ);
  const { port } = listener.getsockname();
  console.log(`${count} processes serve port ${port}; try, more than once: nc 127.0.0.1 ${port}`);
  Deno.addSignalListener("SIGINT", () => {
    console.log("Server shutting down");
    for (const child of children) child.close(); // each child reads the end of the stream
    selector.close();
  });

  for await (const [{ fileobj }] of selector) {
    try {
      using connection = fileobj.tryAccept()?.[0]; // the message has its own descriptor of the connection
      if (connection === undefined) continue;
      const child = children.shift()!;
      try {
        child.sendFds([Uint8Array.of(1)], [connection]); // a stream carries descriptors beside a byte at least
      } catch (error) {
        // EAGAIN: the child does not keep up. Its client is disconnected, and the others do not wait.
        if (!(error instanceof OSError)) throw error;
        console.log(error.message);
        if (error.code === "EPIPE") {
          child.close(); // the child has ended, and gets no more
          if (children.length > 0) continue;
          console.log("All children have ended");
          Deno.exit(1);
        }
      }
      children.push(child);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      await new Promise((resolve) => setTimeout(resolve, 1000)); // no room for another connection
    }
  }
}

/** Starts a child, and returns the parent's end of the pair. */
function startChild(): Socket {
  const [here, there] = socketpair();
  const args = ["run", "--no-prompt", "--allow-ffi", import.meta.filename ?? import.meta.url, "child"];
  spawn(Deno.execPath(), args, { stdio: [there.fileno(), "inherit", "inherit"] });
  there.close();
  here.setBlocking(false);
  return here;
}

/** A child: serves the connections that the parent sends. */
async function serve(parent: Socket): Promise<void> {
  const selector = new DefaultSelector<() => void, Socket>();
  parent.setBlocking(false);
  selector.register(parent, EVENT_READ, receive);
  Deno.addSignalListener("SIGINT", () => {}); // of a terminal; the parent says when to end
  for await (const [{ data: handle }] of selector) handle();
  Deno.exit();

  function receive(): void {
    const [data, [fd]] = parent.recvFds(1, 1);
    if (data.length === 0) return selector.close(); // the parent has ended
    if (fd !== undefined) serveConnection(Socket.fromFd(fd)); // undefined: this process has too many descriptors
  }

  /** Sends what is unsent, and then waits for more to echo. */
  function serveConnection(connection: Socket): void {
    let unsent = new TextEncoder().encode(`You are served by process ${Deno.pid}\n`);
    const step = () => {
      try {
        if (unsent.length === 0) {
          unsent = connection.recv(64 * 1024);
          if (unsent.length === 0) return end(connection);
        }
        unsent = unsent.subarray(connection.trySend(unsent) ?? 0);
        selector.modify(connection, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, step);
      } catch (error) {
        if (!(error instanceof OSError)) throw error;
        if (error.code !== "EAGAIN") end(connection); // EAGAIN: the data was lost or read elsewhere
      }
    };
    try {
      connection.setBlocking(false);
      selector.register(connection, EVENT_WRITE, step);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      end(connection);
    }
  }

  function end(connection: Socket): void {
    if (selector.getMap()!.has(connection)) selector.unregister(connection); // a failed modify() has done so
    connection.close();
  }
}
