/**
 * Runs a selector, a timer, an HTTP server, `fetch` and standard input side by side in one program.
 *
 * `for await` waits for connections without blocking Deno's event loop. The program answers each line of standard
 * input, and ends at the end of the input or on Ctrl-C.
 *
 * ```sh
 * deno run --allow-ffi --allow-net=127.0.0.1 jsr:@selectors/selectors/examples/side-by-side
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, OSError } from "@selectors/selectors";
import { createServer } from "@selectors/selectors/socket";

let ticks = 0;
let visitors = 0;

const selector = new DefaultSelector<() => Promise<void>>();
const listener = createServer({ hostname: "127.0.0.1", port: 0 });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, greet);
const { port } = listener.getsockname();

const interval = setInterval(() => ticks++, 10);
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
  return Response.json({ ticks, visitors });
});

console.log(`The selector waits for: nc 127.0.0.1 ${port}`);
console.log(`Deno.serve answers: curl http://127.0.0.1:${server.addr.port}`);
console.log("Type a line to get an answer; end the input or press Ctrl-C to stop");

Deno.addSignalListener("SIGINT", stop);
void answerLines();
for await (const [key] of selector) await key.data();
listener.close();
clearInterval(interval);
await server.shutdown();
console.log("Everything has stopped");
Deno.exit(); // the pending read of standard input would keep the program alive

/** Accepts a connection, and sends the number of the visitor. */
async function greet(): Promise<void> {
  try {
    using connection = listener.tryAccept()?.[0];
    connection?.trySend(new TextEncoder().encode(`You are visitor ${++visitors}, after ${ticks} ticks\n`));
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    if (error.syscall !== "accept") return; // the visitor has gone
    // accept() failed, usually with EMFILE: too many files are open. Waiting connections stay in the listener's queue.
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function answerLines(): Promise<void> {
  for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const response = await fetch(`http://127.0.0.1:${server.addr.port}`);
    console.log(`${line.trim()}: ${await response.text()}`);
  }
  stop();
}

function stop(): void {
  selector.close();
}
