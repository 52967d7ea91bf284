/**
 * Times the delivery of an event from a write in another Worker to this thread: through `selectAsync()`, through
 * `read()` of Deno's own connections, and through the synchronous `select()`.
 *
 * ```sh
 * deno task delivery --rounds 2000
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { EpollSelector, EVENT_READ } from "../mod.ts";
import { createServer, Socket } from "../ffi/socket/mod.ts";
import { nowNs } from "./clock.ts";
import { machine } from "./programs.ts";
import { printTable } from "./report.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "2000" } } });
const rounds = Number(values.rounds);

/** A way to receive: the end of a TCP connection that a Worker writes to, and a function that receives a byte. */
interface Way {
  name: string;
  fd: number;
  receive(): Promise<void> | void;
  samplesUs: number[];
}

const listener = createServer({ hostname: "127.0.0.1", port: 0 });
const address = listener.getsockname();
const byte = new Uint8Array(1);

function bySelector(): { fd: number; here: Socket; selector: EpollSelector } {
  const here = new Socket();
  here.connect(address);
  const selector = new EpollSelector();
  selector.register(here, EVENT_READ);
  return { fd: listener.accept()[0].detach(), here, selector };
}

const parked = bySelector();
const blocked = bySelector();
const connection = await Deno.connect(address);
const ways: Way[] = [
  {
    name: "selectAsync()",
    fd: parked.fd,
    async receive() {
      await parked.selector.selectAsync();
      parked.here.recvInto(byte);
    },
    samplesUs: [],
  },
  {
    name: "Deno.Conn.read()",
    fd: listener.accept()[0].detach(),
    receive: async () => void await connection.read(byte),
    samplesUs: [],
  },
  {
    name: "select()",
    fd: blocked.fd,
    receive() {
      blocked.selector.select();
      blocked.here.recvInto(byte);
    },
    samplesUs: [],
  },
];

interface Writer {
  rounds: Int32Array;
  time: Float64Array;
}

const writers = await Promise.all(ways.map(({ fd }) => startWriter(fd)));
for (let round = 0; round < rounds; round++) {
  for (const [index, { receive, samplesUs }] of ways.entries()) {
    const writer = writers[index]!;
    Atomics.add(writer.rounds, 0, 1);
    Atomics.notify(writer.rounds, 0);
    await receive();
    samplesUs.push((nowNs() - writer.time[0]!) / 1000);
  }
}
console.log(`${machine()}; ${rounds} interleaved rounds; microseconds from the write to the event`);
printTable(
  [{ head: "by", isText: true }, { head: "median" }, { head: "p90" }, { head: "p99" }],
  ways.map(({ name, samplesUs }) => {
    samplesUs.sort((one, other) => one - other);
    const at = (part: number) => samplesUs[Math.floor(samplesUs.length * part)]!.toFixed(1);
    return [name, at(0.5), at(0.9), at(0.99)];
  }),
);
Deno.exit();

async function startWriter(fd: number): Promise<Writer> {
  const buffer = new SharedArrayBuffer(16);
  const worker = new Worker(import.meta.resolve("./delivery_worker.ts"), { type: "module" });
  await new Promise((resolve) => {
    worker.onmessage = resolve;
    worker.postMessage({ fd, buffer });
  });
  return { rounds: new Int32Array(buffer, 0, 1), time: new Float64Array(buffer, 8, 1) };
}
