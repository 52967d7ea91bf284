/**
 * Closing the file object of a stream: autoClose, cancel(), abort(), and two streams of one file object.
 *
 * @module
 */

import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { isOpen } from "../ffi/os/sys.ts";
import { pipe, read, type Socket, write } from "../ffi/socket/mod.ts";
import { OSError, toReadableStream, toWritableStream } from "../selectors/streams.ts";
import { FILES, lackedBy, LIMITED_WRITES } from "./support/needs.ts";
import { bytes, Cleanup, nextTurns, printedBy, test, text } from "./support/util.ts";

/** More than a socket takes at once. */
const MUCH = 8 * 2 ** 20;

/** A file object that counts its close() calls. */
class Counted {
  closes = 0;
  readonly #socket: Socket;
  constructor(socket: Socket) {
    this.#socket = socket;
  }
  fileno() {
    return this.#socket.fileno();
  }
  close() {
    this.closes++;
    this.#socket.close();
  }
}

/** Ways to end a stream. */
const ENDS: Record<string, (file: Counted, peer: Socket, autoClose: boolean) => Promise<unknown>> = {
  "the end of the file"(file, peer, autoClose) {
    peer.shutdown(1);
    return Array.fromAsync(toReadableStream(file, { autoClose }));
  },
  "cancel() without a read": (file, _peer, autoClose) => toReadableStream(file, { autoClose }).cancel(),
  async "cancel() during a wait"(file, _peer, autoClose) {
    const reader = toReadableStream(file, { autoClose }).getReader();
    const next = reader.read();
    await nextTurns();
    await reader.cancel();
    assertEquals((await next).done, true);
  },
  async "`break` in for await"(file, peer, autoClose) {
    peer.send(bytes("x"));
    for await (const chunk of toReadableStream(file, { autoClose })) {
      assertEquals(text(chunk), "x");
      break;
    }
  },
  "close()": (file, _peer, autoClose) => toWritableStream(file, { autoClose }).close(),
  "abort() without a write": (file, _peer, autoClose) => toWritableStream(file, { autoClose }).abort(),
  async "abort() during a wait"(file, _peer, autoClose) {
    const writer = toWritableStream(file, { autoClose }).getWriter();
    const closed = assertRejects(() => writer.closed, Error, "my reason");
    const written = assertRejects(() => writer.write(new Uint8Array(MUCH)), Error, "my reason");
    const dropped = assertRejects(() => writer.write(new Uint8Array(MUCH)), Error, "my reason");
    await nextTurns();
    await writer.abort(new Error("my reason"));
    await Promise.all([closed, written, dropped]);
  },
  async "a failing read"(file, _peer, autoClose) {
    const failing = { fileno: () => failing.fails ? -1 : file.fileno(), close: () => file.close(), fails: false };
    const stream = toReadableStream(failing, { autoClose });
    failing.fails = true;
    await assertRejects(() => stream.getReader().read(), OSError, "EBADF");
  },
  async "a failing write"(file, _peer, autoClose) {
    const writer = toWritableStream(file, { autoClose }).getWriter();
    const closed = assertRejects(() => writer.closed, TypeError);
    await assertRejects(() => writer.write("x" as unknown as Uint8Array), TypeError);
    await closed;
  },
};

describe("autoClose", () => {
  for (const [name, end] of Object.entries(ENDS)) {
    const needs = name === "abort() during a wait" ? [LIMITED_WRITES] : [];
    test(`autoClose closes an object once after ${name}, and false leaves it open`, { needs }, async () => {
      for (const autoClose of [true, false]) {
        using cleanup = new Cleanup();
        const [here, there] = cleanup.pair();
        const file = new Counted(here);
        await end(file, there, autoClose);
        assertEquals(file.closes, autoClose ? 1 : 0);
        // Another stream of the same object is possible afterwards.
        if (!autoClose) await toWritableStream(file).close();
      }
    });
  }

  test("autoClose closes a numeric descriptor, and leaves an object without close() open", async () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    await toReadableStream(cleanup.disown(reader)).cancel();
    assertEquals(isOpen(reader), false);
    await toWritableStream({ fileno: () => writer }).close();
    assertEquals(isOpen(writer), true);
    await toWritableStream(cleanup.disown(writer)).close();
    assertEquals(isOpen(writer), false);
  });

  test("close() and cancel() reject if close() of the object fails, and a failed read keeps its own error", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const failing = {
      fileno: () => here.fileno(),
      close() {
        throw new Error("cannot close");
      },
    };
    await assertRejects(() => toWritableStream(failing).close(), Error, "cannot close");
    await assertRejects(() => toReadableStream(failing).cancel(), Error, "cannot close");
    await assertRejects(() => toWritableStream(failing).getWriter().write(null as unknown as Uint8Array), TypeError);
    there.close();
    await assertRejects(() => toReadableStream(failing).getReader().read(), Error, "cannot close");
  });

  test("toReadableStream() and toWritableStream() do not own the file object if they throw", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const strategy = new CountQueuingStrategy({ highWaterMark: 1 });
    try {
      toReadableStream(here, { strategy });
    } catch (error) {
      assertEquals(error instanceof RangeError, true);
    }
    await toReadableStream(here).cancel();
    assertEquals(here.fileno(), -1);
  });
});

describe("two streams of one file object", () => {
  test("Socket is closed by its last stream, and its peer reads the end when the writable stream closes", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const readable = toReadableStream(here);
    const writable = toWritableStream(here);
    const asked = new Blob(["question"]).stream().pipeTo(writable);
    assertEquals(await new Response(toReadableStream(there, { autoClose: false })).text(), "question");
    await asked;
    assertGreater(here.fileno(), -1);
    there.send(bytes("answer"));
    there.close();
    assertEquals(await new Response(readable).text(), "answer");
    assertEquals(here.fileno(), -1);
  });

  test("toWritableStream() continues after the readable stream of the Socket has ended", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const echo = toReadableStream(here).pipeTo(toWritableStream(here));
    const data = new Uint8Array(MUCH).fill(7);
    const sent = new Blob([data]).stream().pipeTo(toWritableStream(there, { autoClose: false }))
      .then(() => there.shutdown(1));
    const back = await new Response(toReadableStream(there, { autoClose: false })).arrayBuffer();
    await Promise.all([echo, sent]);
    assertEquals([back.byteLength, here.fileno()], [MUCH, -1]);
  });

  test("autoClose closes a descriptor with its last stream", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const fd = here.detach();
    const readable = toReadableStream(fd);
    const writable = toWritableStream(fd);
    await readable.cancel();
    assertEquals(isOpen(fd), true);
    await writable.abort();
    assertEquals(isOpen(fd), false);
  });

  test("autoClose of one stream closes the object of a second stream without autoClose", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const readable = toReadableStream(here, { autoClose: false });
    await toWritableStream(here).close();
    assertEquals(here.fileno(), -1);
    await assertRejects(() => readable.getReader().read(), OSError, "EBADF");
  });
});

describe("a stream that has ended", () => {
  test("cancel() leaves later bytes to other readers", { needs: [FILES] }, async () => {
    const [reader, writer] = pipe();
    const chunks = toReadableStream(reader, { autoClose: false }).getReader();
    const next = chunks.read();
    await nextTurns();
    await chunks.cancel();
    write(writer, bytes("later"));
    assertEquals((await next).done, true);
    await nextTurns();
    const buffer = new Uint8Array(10);
    assertEquals(text(buffer.subarray(0, read(reader, buffer))), "later");
    await Promise.all([toWritableStream(reader).abort(), toWritableStream(writer).close()]);
  });

  const PROGRAM = lackedBy({ emulated: "it takes ten seconds to start a program" });
  test("cancel() and abort() let the program exit", { needs: [PROGRAM, LIMITED_WRITES] }, async () => {
    const [streams, socket] = ["selectors/streams.ts", "ffi/socket/mod.ts"]
      .map((path) => JSON.stringify(new URL(`../${path}`, import.meta.url).href));
    assertEquals(
      await printedBy(`
        import { toReadableStream, toWritableStream } from ${streams};
        import { socketpair } from ${socket};
        const [here, there] = socketpair();
        const reader = toReadableStream(here, { autoClose: false }).getReader();
        const writer = toWritableStream(there, { autoClose: false }).getWriter();
        const waits = Promise.allSettled([reader.read(), writer.write(new Uint8Array(${MUCH})), writer.closed]);
        setTimeout(async () => {
          await Promise.all([reader.cancel(), writer.abort()]);
          console.log(JSON.stringify((await waits).map(({ status }) => status)));
        }, 20);
      `),
      ["fulfilled", "rejected", "rejected"],
    );
  });
});
