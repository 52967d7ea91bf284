/**
 * Streams under load: large transfers, many streams, timers, and memory.
 *
 * @module
 */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { createHash } from "node:crypto";
import { describe } from "@std/testing/bdd";
import { setBlocking, type Socket } from "../ffi/socket/mod.ts";
import { type ClosableFileObject, toReadableStream, toWritableStream } from "../selectors/streams.ts";
import { FILES } from "./support/needs.ts";
import { Cleanup, openFile, tcpPair, test } from "./support/util.ts";

const MIB = 2 ** 20;
const READ_ONLY = 0;
const WRITE_ONLY = 1;

type Ends = [from: ClosableFileObject, to: ClosableFileObject];

const WAYS: Record<string, (cleanup: Cleanup) => Ends> = {
  "a pipe": blockingPipe,
  "a non-blocking pipe"(cleanup) {
    const ends = blockingPipe(cleanup);
    for (const fd of ends) setBlocking(fd, false);
    return ends;
  },
  "a socket pair": (cleanup) => cleanup.pair(),
  "a TCP connection": (cleanup) => tcpPair().map((socket) => cleanup.add(socket)) as [Socket, Socket],
};

function blockingPipe(cleanup: Cleanup): [from: number, to: number] {
  const [reader, writer] = cleanup.pipe();
  return [cleanup.disown(writer), cleanup.disown(reader)];
}

/** Returns the SHA-256 and the total length of chunks. */
async function hashOf(chunks: AsyncIterable<Uint8Array>): Promise<[hash: string, size: number]> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    size += chunk.length;
  }
  return [hash.digest("hex"), size];
}

/** Returns a stream of bytes that do not repeat, in chunks of an odd size. */
function source(size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  const noise = crypto.getRandomValues(new Uint8Array(65_536));
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      const chunk = new Uint8Array(Math.min(99_991, size - sent));
      for (let at = 0; at < chunk.length; at += noise.length) {
        chunk.set(noise.subarray(0, Math.min(noise.length, chunk.length - at)), at);
      }
      if (chunk.length >= 8) new DataView(chunk.buffer).setFloat64(0, sent);
      sent += chunk.length;
      if (chunk.length > 0) controller.enqueue(chunk);
      else controller.close();
    },
  });
}

/** Sends bytes from one end to the other, and compares the checksums. */
async function transfer([from, to]: Ends, size: number): Promise<void> {
  const [checked, sent] = source(size).tee();
  const [expected, piped, received] = await Promise.all([
    hashOf(checked),
    sent.pipeTo(toWritableStream(from)),
    hashOf(toReadableStream(to)),
  ]);
  assertEquals([received, piped], [expected, undefined]);
  assertEquals(received[1], size);
}

describe("streams under load", () => {
  for (const [name, open] of Object.entries(WAYS)) {
    test(`streams transfer 32 MiB unchanged through ${name}`, async () => {
      using cleanup = new Cleanup();
      await transfer(open(cleanup), 32 * MIB);
    });
  }

  test("streams of eight connections do not affect each other", async () => {
    using cleanup = new Cleanup();
    await Promise.all(Array.from({ length: 8 }, async () => {
      const [here, there] = cleanup.pair();
      const echo = toReadableStream(there).pipeTo(toWritableStream(there));
      const [checked, sent] = source(2 * MIB).tee();
      const readable = toReadableStream(here);
      const [expected, received] = await Promise.all([
        hashOf(checked),
        hashOf(readable),
        sent.pipeTo(toWritableStream(here)),
        echo,
      ]);
      assertEquals(received, expected);
    }));
  });

  test("toReadableStream() does not starve timers if bytes are always available", { needs: [FILES] }, async () => {
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    for await (const chunk of toReadableStream(openFile("/dev/zero", READ_ONLY))) {
      assertGreater(chunk.length, 0);
      if (ticks >= 20) break;
    }
    clearInterval(interval);
  });

  test("toWritableStream() does not starve timers if a write never waits", { needs: [FILES] }, async () => {
    const writer = toWritableStream(openFile("/dev/null", WRITE_ONLY)).getWriter();
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    while (ticks < 20) await writer.write(new Uint8Array(512));
    clearInterval(interval);
    await writer.close();
  });

  test("toReadableStream() does not read ahead of its readers", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    let offered = 0;
    const endless = new ReadableStream({
      pull(controller) {
        offered += MIB;
        controller.enqueue(new Uint8Array(MIB));
      },
    });
    const piped = endless.pipeTo(toWritableStream(there)).catch(() => {});
    const reader = toReadableStream(here).getReader();
    for (let size = 0; size < 4 * MIB;) size += (await reader.read()).value!.length;
    const before = offered;
    await new Promise((resolve) => setTimeout(resolve, 50)); // no reader asks for bytes
    assertLess(offered - before, 16 * MIB);
    await reader.cancel();
    await piped;
  });
});
