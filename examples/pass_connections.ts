/**
 * Accepts connections in one process, and serves them in others.
 *
 * The parent sends the descriptor of each connection to the next of its children, over a Unix socket pair. The children
 * run this program too; the standard input of each is one end of its socket pair. A child sends its process ID to each
 * client, and then echoes. Real servers use this technique to restart their workers one by one, or to give them fewer
 * permissions. Ctrl-C ends all processes.
 *
 * ```sh
 * deno run --allow-ffi --allow-run --allow-env jsr:@selectors/selectors/examples/pass-connections 8009 2
 * # in another terminal:
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

/** The parent: accepts connections, and sends them to its children. */
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
    for (const child of children) child.close(); // each child then reads the end of the stream
    selector.close();
  });

  for await (const _ of selector) {
    try {
      using connection = listener.tryAccept()?.[0]; // closed after pass(): a child has a duplicate
      if (connection !== undefined) pass(connection);
    } catch (error) { // accept() failed, usually with EMFILE: too many files are open
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Sends a connection to the first child in the queue, which then becomes the last. */
  function pass(connection: Socket): void {
    const child = children.shift()!;
    try {
      child.sendFds([Uint8Array.of(1)], [connection]); // a stream needs at least one byte with the descriptors
    } catch (error) { // EAGAIN: the child is not keeping up, so this client is disconnected
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      if (error.code === "EPIPE") { // the child has ended
        child.close();
        if (children.length > 0) return pass(connection);
        console.log("All children have ended");
        Deno.exit(1);
      }
    }
    children.push(child);
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
  const buffer = new Uint8Array(64 * 1024);
  const selector = new DefaultSelector<() => void, Socket>();
  parent.setBlocking(false);
  selector.register(parent, EVENT_READ, receive);
  Deno.addSignalListener("SIGINT", () => {}); // on Ctrl-C, the terminal signals all processes; the parent ends them
  for await (const [{ data: handle }] of selector) handle();
  Deno.exit();

  function receive(): void {
    const [data, [fd]] = parent.recvFds(1, 1);
    if (data.length === 0) return selector.close(); // the parent has ended
    if (fd !== undefined) serveConnection(Socket.fromFd(fd)); // undefined: this process has too many open files
  }

  /** Greets a client, and then echoes what it sends. */
  function serveConnection(connection: Socket): void {
    let unsent = new TextEncoder().encode(`You are served by process ${Deno.pid}\n`);
    const step = () => {
      try {
        if (unsent.length === 0) {
          const count = connection.tryRecvInto(buffer);
          if (count === null) return;
          if (count === 0) return end(connection);
          unsent = buffer.slice(0, count);
        }
        unsent = unsent.subarray(connection.trySend(unsent) ?? 0);
        selector.modify(connection, unsent.length > 0 ? EVENT_WRITE : EVENT_READ, step);
      } catch (error) {
        if (!(error instanceof OSError)) throw error;
        end(connection);
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
    // A failed modify() has already unregistered the socket. getMap() is null only after selector.close().
    if (selector.getMap()!.has(connection)) selector.unregister(connection);
    connection.close();
  }
}
