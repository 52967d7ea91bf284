/**
 * Streams of terminals. A terminal may be shared with the shell, and its end is an error of read().
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { getBlocking } from "../ffi/os/sys.ts";
import { setBlocking, write } from "../ffi/socket/mod.ts";
import { OSError, toReadableStream, toWritableStream } from "../selectors/streams.ts";
import { FILES, LINUX } from "./support/needs.ts";
import { attributesOf, openPty } from "./support/pty.ts";
import { bytes, Cleanup, nextTurns, openFile, testNeeding, text } from "./support/util.ts";

const test = testNeeding(FILES);

/** Exceeds the buffer of a terminal. */
const MUCH = 2 ** 20;
const READ_ONLY = 0;

describe("terminals", () => {
  test("toReadableStream() of a master ends when the last slave closes, after all bytes", async () => {
    using cleanup = new Cleanup();
    const { master, slave } = openPty(cleanup);
    write(slave, bytes("last words"));
    const chunks = toReadableStream(cleanup.disown(master)).getReader();
    assertEquals(text((await chunks.read()).value!), "last words");
    const next = chunks.read();
    await nextTurns();
    cleanup.close(slave);
    assertEquals((await next).done, true);
  });

  test("toReadableStream() of a slave ends when the master closes", async () => {
    using cleanup = new Cleanup();
    const { master, slave } = openPty(cleanup);
    const next = toReadableStream(cleanup.disown(slave)).getReader().read();
    await nextTurns();
    cleanup.close(master);
    assertEquals((await next).done, true);
  });

  test("toReadableStream() of a file that is not a terminal fails with EIO", { needs: [LINUX] }, async () => {
    const stream = toReadableStream(openFile("/proc/self/mem", READ_ONLY)); // address 0 is not mapped
    const error = await assertRejects(() => stream.getReader().read(), OSError);
    assertEquals([error.code, error.syscall], ["EIO", "read"]);
  });

  test("toReadableStream() of a raw terminal returns each key when it is pressed", async () => {
    using cleanup = new Cleanup();
    const { master, slave } = openPty(cleanup);
    const keys = toReadableStream(slave, { autoClose: false }).getReader();
    for (const key of ["a", "\x1b[A", "\x03"]) {
      const next = keys.read();
      await nextTurns();
      write(master, bytes(key));
      assertEquals(text((await next).value!), key);
    }
    await keys.cancel();
  });

  for (const isBlocking of [true, false]) {
    const kind = isBlocking ? "blocking" : "non-blocking";
    test(`streams of both ends of a terminal never block, and leave it ${kind}`, async () => {
      using cleanup = new Cleanup();
      const { master, slave } = openPty(cleanup);
      for (const fd of [master, slave]) setBlocking(fd, isBlocking);
      const before = attributesOf(slave);
      const state = () => [master, slave].map((fd) => getBlocking(fd) === 1);
      const streams = [master, slave].map((fd) => ({
        readable: toReadableStream(fd, { autoClose: false }).getReader(),
        writable: toWritableStream(fd, { autoClose: false }).getWriter(),
      }));
      const written = streams.map(({ writable }, end) => writable.write(new Uint8Array(MUCH).fill(65 + end)));
      await nextTurns();
      assertEquals(state(), [isBlocking, isBlocking]); // while both writes wait
      await Promise.all(streams.map(async ({ readable }, end) => {
        for (let size = 0; size < MUCH;) {
          const { value } = await readable.read();
          assertEquals(value!.every((byte) => byte === 66 - end), true);
          size += value!.length;
        }
      }));
      await Promise.all(written);
      await Promise.all(streams.map(({ readable }) => readable.cancel()));
      assertEquals([state(), attributesOf(slave)], [[isBlocking, isBlocking], before]);
    });
  }
});
