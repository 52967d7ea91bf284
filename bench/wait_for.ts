/**
 * Times one wait for one socket and the read after it: with `waitFor()`, with a selector that is created for the wait,
 * and with `read()` of one of Deno's own connections.
 *
 * ```sh
 * deno run --allow-all bench/wait_for.ts --rounds 5000
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { EpollSelector, EVENT_READ, PollSelector, waitFor } from "../mod.ts";
import { createServer, type InetAddress, Socket } from "../ffi/socket/mod.ts";
import { machine } from "./programs.ts";
import { median, printTable } from "./report.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5000" } } });
const rounds = Number(values.rounds);

const listener = createServer({ hostname: "127.0.0.1", port: 0 });
const address = listener.getsockname() as InetAddress;
const here = new Socket();
here.connect(address);
const peer = listener.accept()[0];
const connection = await Deno.connect(address);
const peerOfConnection = listener.accept()[0];
const byte = new Uint8Array(1);

/** A way to receive one byte. */
interface Way {
  name: string;
  peer: Socket;
  receive(): Promise<unknown>;
}

function bySelector(Selector: typeof EpollSelector | typeof PollSelector): () => Promise<unknown> {
  return async () => {
    const selector = new Selector();
    selector.register(here, EVENT_READ);
    await selector.selectAsync();
    selector.close();
    here.recvInto(byte);
  };
}

const ways: Way[] = [
  {
    name: "waitFor()",
    peer,
    async receive() {
      await waitFor(here, EVENT_READ);
      here.recvInto(byte);
    },
  },
  { name: "a PollSelector for one wait", peer, receive: bySelector(PollSelector) },
  { name: "an EpollSelector for one wait", peer, receive: bySelector(EpollSelector) },
  { name: "Deno.Conn.read()", peer: peerOfConnection, receive: () => connection.read(byte) },
];

/** Returns the microseconds of one receive. The data arrives before the wait, or after the wait has started. */
async function timeUs({ peer, receive }: Way, isReady: boolean): Promise<number> {
  if (isReady) peer.send(byte);
  const start = performance.now();
  const received = receive();
  if (!isReady) peer.send(byte);
  await received;
  return (performance.now() - start) * 1000;
}

const samples = ways.map(() => [[], []] as [ready: number[], waiting: number[]]);
for (let round = 0; round < rounds; round++) {
  for (const [index, way] of ways.entries()) {
    for (const kind of [0, 1] as const) samples[index]![kind].push(await timeUs(way, kind === 0));
  }
}

console.log(`${machine()}; ${rounds} interleaved rounds; median of microseconds for a wait and a read`);
printTable(
  [{ head: "by", isText: true }, { head: "data ready" }, { head: "data after the start" }],
  ways.map(({ name }, index) => [name, ...samples[index]!.map((those) => median(those).toFixed(1))]),
);
Deno.exit();
