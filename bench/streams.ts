/**
 * Times a transfer from a WritableStream to a ReadableStream of this package, compares it with Deno's own connections,
 * and compares the SHA-256 of the sent and the received bytes. Both ends are in this thread.
 *
 * ```sh
 * deno task streams --mib 1024 --chunk 65536
 * ```
 *
 * @module
 */

import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { toReadableStream, toWritableStream } from "../selectors/streams.ts";
import { AF_INET, createServer, pipe, setBlocking, Socket, socketpair } from "../ffi/socket/mod.ts";
import { machine } from "./programs.ts";
import { median, printTable, showNumber } from "./report.ts";

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "1024" },
    chunk: { type: "string", default: "" },
    rounds: { type: "string", default: "3" },
  },
});
const bytes = Number(values.mib) * 2 ** 20;
const rounds = Number(values.rounds);
const options = values.chunk === "" ? {} : { chunkSize: Number(values.chunk) };
const WRITTEN = 256 * 1024;

/** The two ends of a transfer. */
interface Ends {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
}

/** Connects two sockets of Deno. */
async function connected(listener: Deno.Listener, connecting: Promise<Deno.Conn>): Promise<Ends> {
  const [to, from] = await Promise.all([listener.accept(), connecting]);
  listener.close();
  return { readable: to.readable, writable: from.writable };
}

const WAYS: Record<string, () => Ends | Promise<Ends>> = {
  "pipe()"() {
    const [reader, writer] = pipe();
    return { readable: toReadableStream(reader, options), writable: toWritableStream(writer) };
  },
  "pipe(), setBlocking(fd, false)"() {
    const ends = pipe();
    for (const fd of ends) setBlocking(fd, false);
    return { readable: toReadableStream(ends[0], options), writable: toWritableStream(ends[1]) };
  },
  "socketpair()"() {
    const [here, there] = socketpair();
    return { readable: toReadableStream(there, options), writable: toWritableStream(here) };
  },
  "Deno.Conn, Unix"() {
    const path = `\0streams-${Deno.pid}`;
    const listener = Deno.listen({ transport: "unix", path });
    return connected(listener as unknown as Deno.Listener, Deno.connect({ transport: "unix", path }));
  },
  "Socket, TCP"() {
    using listener = createServer({ hostname: "127.0.0.1", port: 0 });
    const here = new Socket(AF_INET);
    here.connect(listener.getsockname());
    return { readable: toReadableStream(listener.accept()[0], options), writable: toWritableStream(here) };
  },
  "Deno.Conn, TCP"() {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return connected(listener, Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }));
  },
};

/** Sends and receives every byte, and returns the milliseconds and the number of chunks. */
async function transfer({ readable, writable }: Ends, hash: boolean): Promise<{ ms: number; chunks: number }> {
  const sent = createHash("sha256");
  const received = createHash("sha256");
  const source = crypto.getRandomValues(new Uint8Array(65_536));
  const data = new Uint8Array(WRITTEN);
  for (let at = 0; at < WRITTEN; at += source.length) data.set(source, at);
  const start = performance.now();
  async function send(): Promise<void> {
    const writer = writable.getWriter();
    for (let left = bytes; left > 0; left -= WRITTEN) {
      const chunk = left < WRITTEN ? data.subarray(0, left) : data;
      if (hash) {
        new DataView(data.buffer).setFloat64(0, left);
        sent.update(chunk);
      }
      await writer.write(chunk);
    }
    await writer.close();
  }
  const sending = send();
  let count = 0;
  let chunks = 0;
  for await (const chunk of readable) {
    count += chunk.byteLength;
    chunks++;
    if (hash) received.update(chunk);
  }
  await sending;
  const ms = performance.now() - start;
  if (count !== bytes) throw new Error(`${count} of ${bytes} bytes have come`);
  if (hash && sent.digest("hex") !== received.digest("hex")) throw new Error("The SHA-256 differs");
  return { ms, chunks };
}

console.log(`${machine()}, ${values.mib} MiB, median of ${rounds}\n`);
const rates = new Map<string, number[]>(Object.keys(WAYS).map((name) => [name, []]));
const chunks = new Map<string, number>();
const growth = new Map<string, number>();
for (let round = 0; round < rounds; round++) {
  for (const [name, open] of Object.entries(WAYS)) {
    const before = Deno.memoryUsage().rss;
    const result = await transfer(await open(), false);
    growth.set(name, Math.max(growth.get(name) ?? 0, Deno.memoryUsage().rss - before));
    rates.get(name)!.push(bytes / 2 ** 20 / (result.ms / 1000));
    chunks.set(name, result.chunks);
  }
}
for (const open of Object.values(WAYS)) await transfer(await open(), true);
printTable(
  [{ head: "way", isText: true }, { head: "MiB/s" }, { head: "bytes per chunk" }, { head: "growth of RSS, MiB" }],
  Object.keys(WAYS).map((name) => [
    name,
    showNumber(median(rates.get(name)!)),
    showNumber(bytes / chunks.get(name)!),
    showNumber(growth.get(name)! / 2 ** 20),
  ]),
);
console.log("\nThe SHA-256 of sent and received bytes is equal for each way.");
