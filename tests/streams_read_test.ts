/**
 * toReadableStream(): chunks, the end, errors, BYOB readers, and when the stream reads.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, SelectSelector } from "../mod.ts";
import { getBlocking } from "../ffi/os/sys.ts";
import { read, SO_LINGER, type Socket, SOL_SOCKET, write } from "../ffi/socket/mod.ts";
import { OSError, toReadableStream } from "../selectors/streams.ts";
import { FILES } from "./support/needs.ts";
import { bytes, Cleanup, fifo, nextTurns, openFile, RESET_ON_CLOSE, tcpPair, test, text } from "./support/util.ts";

const READ_ONLY = 0;
const READ_WRITE = 2;

/** Reads a stream of text to its end. */
function textOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return new Response(stream).text();
}

describe("toReadableStream()", () => {
  test("toReadableStream() returns available bytes, then waits for more, until the end of a pipe", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    write(writer, bytes("one"));
    const chunks = toReadableStream(cleanup.disown(reader)).getReader();
    assertEquals(text((await chunks.read()).value!), "one");
    const next = chunks.read();
    await nextTurns();
    write(writer, bytes("two"));
    assertEquals(text((await next).value!), "two");
    const last = chunks.read();
    await nextTurns();
    cleanup.close(writer);
    assertEquals((await last).done, true);
  });

  test("toReadableStream() reads a Socket until its peer shuts down writing", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.send(bytes("hello"));
    there.shutdown(1);
    assertEquals(await textOf(toReadableStream(here)), "hello");
  });

  test("toReadableStream() reads a FIFO whose writers come and go", { needs: [FILES] }, async () => {
    using cleanup = new Cleanup();
    const [path, fd] = fifo(cleanup, READ_WRITE);
    const chunks = toReadableStream(fd, { autoClose: false }).getReader();
    for (const line of ["one\n", "two\n"]) {
      const next = chunks.read();
      await Deno.writeFile(path, bytes(line));
      assertEquals(text((await next).value!), line);
    }
    await chunks.cancel();
  });

  test("toReadableStream() reads a regular file", { needs: [FILES] }, async () => {
    const path = import.meta.filename!;
    assertEquals(await textOf(toReadableStream(openFile(path, READ_ONLY))), await Deno.readTextFile(path));
  });

  test("toReadableStream() fails with ECONNRESET if the peer resets the connection", async () => {
    using cleanup = new Cleanup();
    const [here, there] = tcpPair().map((socket) => cleanup.add(socket)) as [Socket, Socket];
    const next = toReadableStream(here).getReader().read();
    await nextTurns();
    there.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
    there.close();
    const error = await assertRejects(() => next, OSError);
    assertEquals([error.code, error.syscall, here.fileno()], ["ECONNRESET", "read", -1]);
  });

  test("toReadableStream() fails with EBADF if its object is closed or detached, and reads no other file", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const stream = toReadableStream(here, { autoClose: false });
    const fd = cleanup.own(here.detach());
    there.send(bytes("for the new owner"));
    const error = await assertRejects(() => stream.getReader().read(), OSError);
    assertEquals([error.code, error.message.includes(`fd ${fd}`)], ["EBADF", true]);
    assertEquals(read(fd, new Uint8Array(100)), 17);
  });

  test("toReadableStream() leaves a descriptor blocking or non-blocking, as it was", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const chunks = toReadableStream(reader, { autoClose: false }).getReader();
    const next = chunks.read();
    await nextTurns();
    assertEquals(getBlocking(reader), 1);
    write(writer, bytes("x"));
    await next;
    assertEquals(getBlocking(reader), 1);
    await chunks.cancel();
  });

  test("toReadableStream() does not block if another reader takes the bytes first", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const one = toReadableStream(reader, { autoClose: false }).getReader();
    const other = toReadableStream(reader, { autoClose: false }).getReader();
    const both = Promise.race([one.read(), other.read()]);
    await nextTurns();
    write(writer, bytes("x"));
    assertEquals(text((await both).value!), "x");
    await nextTurns();
    await Promise.all([one.cancel(), other.cancel()]);
  });

  test("toReadableStream() reads only for a pending read, or up to highWaterMark", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    using selector = new SelectSelector();
    selector.register(reader, EVENT_READ);
    write(writer, bytes("12345678"));
    const lazy = toReadableStream(reader, { autoClose: false, chunkSize: 2 });
    await nextTurns();
    assertEquals(selector.select(0).length, 1);
    assertEquals(text((await lazy.getReader().read()).value!), "12");
    await nextTurns();
    assertEquals(text(buffered(reader)), "345678");

    write(writer, bytes("12345678"));
    const strategy = new ByteLengthQueuingStrategy({ highWaterMark: 5 });
    const eager = toReadableStream(reader, { autoClose: false, chunkSize: 2, strategy });
    await nextTurns();
    assertEquals(text(buffered(reader)), "78");
    await eager.cancel();
  });

  test("toReadableStream() returns chunks of at most chunkSize, each with memory of its own", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    write(writer, bytes("12345"));
    cleanup.close(writer);
    const chunks = await Array.fromAsync(toReadableStream(cleanup.disown(reader), { chunkSize: 2 }));
    assertEquals(chunks.map(text), ["12", "34", "5"]);
    assertEquals(new Set(chunks.map(({ buffer }) => buffer)).size, 3);
    const small = new Uint8Array(10).fill(255);
    const [other, source] = cleanup.pipe();
    write(source, small);
    const chunk = (await toReadableStream(other, { autoClose: false }).getReader().read()).value!;
    assertEquals([chunk.length, chunk.buffer.byteLength], [10, 10]); // the buffer is no larger than the data
    write(source, new Uint8Array(40_000));
    const large = (await toReadableStream(other, { autoClose: false }).getReader().read()).value!;
    assertEquals(new Uint8Array(large.buffer).every((byte) => byte === 0), true); // no bytes of another read
  });

  test("toReadableStream() fills the buffer of a BYOB reader from the start", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const byob = toReadableStream(cleanup.disown(reader), { chunkSize: 1 }).getReader({ mode: "byob" });
    const next = byob.read(new Uint8Array(new ArrayBuffer(8), 2, 4));
    await nextTurns();
    write(writer, bytes("12345"));
    const { value } = await next;
    assertEquals([text(value!), value!.byteOffset, value!.buffer.byteLength], ["1234", 2, 8]);
    const words = byob.read(new Uint16Array(2), { min: 2 });
    await nextTurns();
    write(writer, bytes("678"));
    assertEquals(text(new Uint8Array((await words).value!.buffer)), "5678");
    cleanup.close(writer);
    assertEquals([(await byob.read(new Uint8Array(3))).done, (await byob.read(new Uint8Array(3))).done], [true, true]);
  });

  test("toReadableStream() fails if the file ends within an element of a BYOB reader's array", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const byob = toReadableStream(cleanup.disown(reader)).getReader({ mode: "byob" });
    write(writer, bytes("123"));
    cleanup.close(writer);
    assertEquals((await byob.read(new Uint16Array(1))).value!.length, 1);
    await assertRejects(() => byob.read(new Uint16Array(1)), TypeError);
  });

  test("toReadableStream() works with tee(), pipeThrough() and a second reader", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const stream = toReadableStream(cleanup.disown(reader));
    const first = stream.getReader();
    const unread = assertRejects(() => first.read(), TypeError);
    await nextTurns();
    first.releaseLock(); // during a wait; the next reader receives its bytes
    await unread;
    const [one, other] = stream.tee();
    const texts = Promise.all([textOf(one), Array.fromAsync(other.pipeThrough(new TextDecoderStream()))]);
    write(writer, bytes("gr\u00fc"));
    write(writer, bytes("n"));
    cleanup.close(writer);
    const [whole, parts] = await texts;
    assertEquals([whole, parts.join("")], ["grün", "grün"]);
  });

  test("toReadableStream() never shares a buffer between two streams, even if fileno() reads another stream", async () => {
    using cleanup = new Cleanup();
    const [outer, outerPeer] = cleanup.pair();
    const [inner, innerPeer] = cleanup.pair();
    outerPeer.send(bytes("o".repeat(40_000)));
    innerPeer.send(bytes("i".repeat(40_000)));
    const other = toReadableStream(inner, { autoClose: false }).getReader();
    let reading: Promise<ReadableStreamReadResult<Uint8Array>> | undefined;
    let calls = 0;
    const fileobj = {
      fileno() {
        if (++calls > 1) reading ??= other.read();
        return outer.fileno();
      },
    };
    const { value } = await toReadableStream(fileobj, { autoClose: false }).getReader().read();
    assertGreater(value!.length, 0);
    assert(value!.every((byte) => byte === 111));
    assert((await reading!).value!.every((byte) => byte === 105));
  });

  test("toReadableStream() rejects an invalid file object, an invalid chunkSize, and a strategy with a size", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const fileobj of ["0", null, {}, { fileno: () => "0" }]) {
      assertThrows(() => toReadableStream(fileobj as unknown as number), TypeError);
    }
    for (const fd of [-1, 2 ** 31]) assertThrows(() => toReadableStream(fd), RangeError);
    for (const chunkSize of [0, -1, 1.5, NaN, 2 ** 31, Infinity]) {
      assertThrows(() => toReadableStream(here, { chunkSize }), RangeError, "chunkSize");
    }
    assertThrows(() => toReadableStream(here, { chunkSize: "1" as unknown as number }), TypeError, "chunkSize");
    assertThrows(
      () => toReadableStream(here, { strategy: new CountQueuingStrategy({ highWaterMark: 1 }) }),
      RangeError,
    );
    const fd = here.fileno();
    here.close();
    assertThrows(() => toReadableStream(here), RangeError, "closed");
    assertThrows(() => toReadableStream(fd), OSError, "EBADF");
  });
});

/** Reads the available bytes of a pipe. */
function buffered(reader: number): Uint8Array {
  const buffer = new Uint8Array(1000);
  return buffer.subarray(0, read(reader, buffer));
}
