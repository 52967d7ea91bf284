/**
 * toWritableStream(): whole chunks, backpressure, errors, and chunks that change during a write.
 *
 * @module
 */

import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { getBlocking } from "../ffi/os/sys.ts";
import { setBlocking, type Socket } from "../ffi/socket/mod.ts";
import { OSError, toReadableStream, toWritableStream } from "../selectors/streams.ts";
import { LIMITED_WRITES } from "./support/needs.ts";
import { BROKEN_CODES, bytes, Cleanup, nextTurns, test } from "./support/util.ts";

/** Exceeds the buffer of a pipe or a socket. */
const MUCH = 8 * 2 ** 20;

/** Returns bytes that make a wrong order detectable. */
function pattern(size: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(size / 4);
  for (let index = 0; index < words.length; index++) words[index] = index;
  return new Uint8Array(words.buffer);
}

/** Reads from a descriptor to the end, and closes it. */
async function bytesFrom(fileobj: number | Socket): Promise<Uint8Array> {
  return new Uint8Array(await new Response(toReadableStream(fileobj)).arrayBuffer());
}

/** Returns true if a promise is still pending after a few turns of the event loop. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(() => pending = false, () => pending = false);
  await nextTurns();
  return pending;
}

/** Pairs of connected ends: the first to write to, the second to read from. */
const WAYS: Record<string, (cleanup: Cleanup) => [number | Socket, number | Socket]> = {
  "a blocking pipe"(cleanup) {
    const [reader, writer] = cleanup.pipe();
    return [cleanup.disown(writer), cleanup.disown(reader)];
  },
  "a non-blocking pipe"(cleanup) {
    const [reader, writer] = cleanup.pipe();
    for (const fd of [reader, writer]) setBlocking(fd, false);
    return [cleanup.disown(writer), cleanup.disown(reader)];
  },
  "a blocking Socket": (cleanup) => cleanup.pair(),
};

describe("toWritableStream()", () => {
  for (const [name, open] of Object.entries(WAYS)) {
    test(`toWritableStream() writes whole chunks to ${name}, and does not block on a slow reader`, {
      needs: [LIMITED_WRITES],
    }, async () => {
      using cleanup = new Cleanup();
      const [writer, reader] = open(cleanup);
      const stream = toWritableStream(writer).getWriter();
      const data = pattern(MUCH);
      const done = stream.write(data).then(() => stream.close());
      assertEquals(await isPending(done), true);
      assertEquals(await bytesFrom(reader), data);
      await done;
    });
  }

  test(
    "toWritableStream() leaves a descriptor blocking or non-blocking, as it was",
    { needs: [LIMITED_WRITES] },
    async () => {
      for (const isBlocking of [true, false]) {
        using cleanup = new Cleanup();
        const [reader, writer] = cleanup.pipe();
        setBlocking(writer, isBlocking);
        const stream = toWritableStream(writer, { autoClose: false }).getWriter();
        const written = stream.write(new Uint8Array(MUCH));
        assertEquals(await isPending(written), true);
        assertEquals(getBlocking(writer), isBlocking ? 1 : 0);
        cleanup.close(reader);
        await assertRejects(() => written, OSError);
        assertEquals(getBlocking(writer), isBlocking ? 1 : 0);
      }
    },
  );

  test("toWritableStream() signals backpressure in `ready`, and close() waits for every chunk", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const stream = toWritableStream(cleanup.disown(writer)).getWriter();
    assertEquals(stream.desiredSize, 1);
    const chunks = [0, 1, 2].map(() => stream.write(new Uint8Array(MUCH / 4)));
    assertEquals(stream.desiredSize, -2);
    assertEquals(await isPending(stream.ready), true);
    const closed = stream.close();
    assertEquals(await isPending(closed), true);
    const received = bytesFrom(cleanup.disown(reader));
    await Promise.all([...chunks, closed]);
    assertEquals((await received).length, 3 * MUCH / 4);
  });

  test(
    "toWritableStream() fails if the reader is gone, at once and during a wait",
    { needs: [LIMITED_WRITES] },
    async () => {
      for (const isWaiting of [false, true]) {
        using cleanup = new Cleanup();
        const [here, there] = cleanup.pair();
        const stream = toWritableStream(here).getWriter();
        const closed = assertRejects(() => stream.closed, OSError);
        const written = isWaiting ? stream.write(new Uint8Array(MUCH)) : undefined;
        if (written !== undefined) assertEquals(await isPending(written), true);
        there.close();
        const error = await assertRejects(() => written ?? stream.write(bytes("x")), OSError);
        assertEquals([[...BROKEN_CODES, "ECONNRESET"].includes(error.code), error.syscall], [true, "write"]);
        assertEquals(here.fileno(), -1);
        await closed;
      }
    },
  );

  test("toWritableStream() fails with a TypeError for a chunk that is not a Uint8Array", async () => {
    for (const chunk of ["text", null, new ArrayBuffer(1), new DataView(new ArrayBuffer(1)), new Uint16Array(1)]) {
      using cleanup = new Cleanup();
      const [here] = cleanup.pair();
      const stream = toWritableStream(here).getWriter();
      const closed = assertRejects(() => stream.closed, TypeError);
      await assertRejects(() => stream.write(chunk as unknown as Uint8Array), TypeError);
      await closed;
      assertEquals(here.fileno(), -1);
    }
  });

  test("toWritableStream() fails with a TypeError if a chunk is detached or shrunk while it waits", {
    needs: [LIMITED_WRITES],
  }, async () => {
    const resizable = new ArrayBuffer(MUCH, { maxByteLength: MUCH });
    const changes: [chunk: Uint8Array<ArrayBuffer>, change: (chunk: Uint8Array<ArrayBuffer>) => void][] = [
      [new Uint8Array(MUCH), ({ buffer }) => structuredClone(buffer, { transfer: [buffer] })],
      [new Uint8Array(resizable), () => resizable.resize(MUCH - 1)],
    ];
    for (const [chunk, change] of changes) {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const stream = toWritableStream(here).getWriter();
      const closed = assertRejects(() => stream.closed, TypeError);
      const written = stream.write(chunk);
      assertEquals(await isPending(written), true);
      change(chunk);
      const received = bytesFrom(there);
      await assertRejects(() => written, TypeError, "its buffer is detached or was shrunk");
      await closed;
      assertNotEquals((await received).length, MUCH);
    }
  });

  test("toWritableStream() sends the true length of a chunk that claims another length", async () => {
    class Lying extends Uint8Array {
      override get byteLength() {
        return 1_000_000;
      }
      override get length() {
        return 1_000_000;
      }
      override subarray(): never {
        throw new Error("must not be called");
      }
    }
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const stream = toWritableStream(cleanup.disown(writer)).getWriter();
    await stream.write(new Lying([1, 2, 3]));
    await stream.write(new Uint8Array());
    await stream.close();
    assertEquals(await bytesFrom(cleanup.disown(reader)), new Uint8Array([1, 2, 3]));
  });

  test(
    "toWritableStream() works as the destination of pipeTo(), and passes its error to the pipe",
    { needs: [LIMITED_WRITES] },
    async () => {
      using cleanup = new Cleanup();
      const [reader, writer] = cleanup.pipe();
      const source = new Blob([pattern(MUCH)]).stream();
      const piped = source.pipeTo(toWritableStream(cleanup.disown(writer)));
      await toReadableStream(reader, { autoClose: false }).getReader().read();
      cleanup.close(reader);
      const error = await assertRejects(() => piped, OSError);
      assertEquals([...BROKEN_CODES, "ECONNRESET"].includes(error.code), true);
    },
  );

  test("toWritableStream() rejects an invalid file object", () => {
    for (const fileobj of ["0", null, {}]) {
      assertThrows(() => toWritableStream(fileobj as unknown as number), TypeError);
    }
    for (const fd of [-1, 2 ** 31]) assertThrows(() => toWritableStream(fd), RangeError);
  });
});
