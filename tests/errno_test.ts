import { assert, assertEquals, assertGreater, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { once } from "node:events";
import { check, EAGAIN, EBADF, EINPROGRESS, EINTR, errnoCode, OSError, result } from "../ffi/errno.ts";
import { os } from "../ffi/platform.ts";
import { AF_UNIX, close, Socket } from "../ffi/socket.ts";
import { OSError as OSErrorOfMod } from "../mod.ts";
import { OSError as OSErrorOfSelect } from "../ffi/mod.ts";
import { OSError as OSErrorOfSocket } from "../ffi/socket.ts";
import { Cleanup, skip, test } from "./util.ts";

const linuxTest = os === "linux" || os === "android"
  ? test
  : (name: string) => skip(name, `the numbers are those of Linux, and this is ${os}`);

describe("OSError", () => {
  test("OSError says which call failed, on what, why, and with which code", () => {
    const EACCES = 13; // on every Unix
    const error = new OSError("bind", EACCES, "127.0.0.1:80");
    assertEquals(error.message, "bind 127.0.0.1:80: Permission denied (EACCES)");
    assertEquals([error.code, error.errno, error.syscall], ["EACCES", EACCES, "bind"]);
    assertEquals(String(error), "OSError: bind 127.0.0.1:80: Permission denied (EACCES)");
  });

  test("OSError without a target names the call alone", () => {
    assertEquals(new OSError("socket", EBADF).message, "socket: Bad file descriptor (EBADF)");
  });

  test("OSError is an Error with a name and a stack of its own", () => {
    const error = new OSError("close", EBADF, "fd 5");
    assertInstanceOf(error, Error);
    assertEquals(error.name, "OSError");
    assert(error.stack?.includes("errno_test.ts"), error.stack ?? "no stack");
  });

  test("OSError knows no name for a number that is none", () => {
    const error = new OSError("read", 4095, "fd 5");
    assertEquals(error.message, "read fd 5: Unknown error 4095 (E4095)");
    assertEquals([error.code, error.errno], ["E4095", 4095]);
  });

  test("OSError takes another meaning of its number", () => {
    const meaning = { code: "EAI_NONAME", text: "Name or service not known" };
    const error = new OSError("getaddrinfo", -2, "nowhere", meaning);
    assertEquals(error.message, "getaddrinfo nowhere: Name or service not known (EAI_NONAME)");
    assertEquals([error.code, error.errno], ["EAI_NONAME", -2]);
  });

  test("OSError is the same class in every module", () => {
    for (const other of [OSErrorOfMod, OSErrorOfSelect, OSErrorOfSocket]) assertStrictEquals(other, OSError);
  });

  test("OSError comes out of a call with the system's own number", () => {
    const error = assertThrows(() => close(0x7fff_ffff), OSError);
    assertEquals(error.message, "close fd 2147483647: Bad file descriptor (EBADF)");
    assertEquals([error.code, error.errno, error.syscall], ["EBADF", EBADF, "close"]);
  });
});

describe("errnoCode", () => {
  test("errnoCode() gives the names of numbers that every Unix has in common", () => {
    const common = ["EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG"];
    assertEquals(common.map((_, i) => errnoCode(i + 1)), common);
    assertEquals([9, 13, 17, 22, 24, 32].map(errnoCode), ["EBADF", "EACCES", "EEXIST", "EINVAL", "EMFILE", "EPIPE"]);
  });

  linuxTest("errnoCode() gives the names of Linux's numbers", () => {
    const numbers: Record<string, number> = {
      EAGAIN: 11,
      ENOSYS: 38,
      ENOTSOCK: 88,
      EMSGSIZE: 90,
      ENOPROTOOPT: 92,
      EPROTONOSUPPORT: 93,
      EOPNOTSUPP: 95,
      EAFNOSUPPORT: 97,
      EADDRINUSE: 98,
      EADDRNOTAVAIL: 99,
      ENETUNREACH: 101,
      ECONNABORTED: 103,
      ECONNRESET: 104,
      ENOBUFS: 105,
      EISCONN: 106,
      ENOTCONN: 107,
      ETIMEDOUT: 110,
      ECONNREFUSED: 111,
      EHOSTUNREACH: 113,
      EALREADY: 114,
      EINPROGRESS: 115,
    };
    for (const [code, number] of Object.entries(numbers)) assertEquals(errnoCode(number), code);
    assertEquals([EINTR, EBADF, EAGAIN, EINPROGRESS], [4, 9, 11, 115]);
  });

  test("errnoCode() gives E and the number for a number that is none", () => {
    assertEquals([0, 4095, -2].map(errnoCode), ["E0", "E4095", "E-2"]);
  });
});

describe("result and check", () => {
  test("result() gives what is no failure as it is, and a negative number of errno for -1", () => {
    for (const fine of [0, 1, 0x7fff_ffff, -2]) assertEquals(result(fine), fine);
    assertThrows(() => close(0x7fff_ffff), OSError);
    assert(result(-1) < 0, "-1 is a failure, whatever errno is");
  });

  test("check() gives back what is no failure, and throws what is", () => {
    for (const fine of [0, 1, 0x7fff_ffff]) assertEquals(check(fine, "read"), fine);
    assertEquals(
      assertThrows(() => check(-EBADF, "read", 5), OSError).message,
      "read fd 5: Bad file descriptor (EBADF)",
    );
    assertEquals(assertThrows(() => check(-EBADF, "socket"), OSError).message, "socket: Bad file descriptor (EBADF)");
    assertEquals(
      assertThrows(() => check(-EBADF, "bind", "[::1]:80"), OSError).message,
      "bind [::1]:80: Bad file descriptor (EBADF)",
    );
    assertEquals(assertThrows(() => check(-EAGAIN, "recv", 0), OSError).errno, EAGAIN);
  });
});

/**
 * Makes calls that fail, with garbage between them, and counts the wrong codes.
 *
 * A closed socket is used, since its `connectEx` gives the code without an exception, of which 2 million take long.
 * Some of the garbage is kept for a while, so that each collection has something to move.
 */
function countWrong(calls: number, socket: Socket, expected: string): number {
  const kept: unknown[] = new Array(4096);
  const address = { path: "x" };
  let wrong = 0;
  for (let i = 0; i < calls; i++) {
    kept[i & 4095] = { number: i + 0.5, array: [i, i + 1] };
    if (socket.connectEx(address) !== expected) wrong++;
  }
  return wrong;
}

describe("errno", () => {
  test("errno is right after each of two million failures under garbage collection", () => {
    const socket = new Socket(AF_UNIX);
    socket.close();
    assertEquals(countWrong(2_000_000, socket, "EBADF"), 0);
  });

  test("errno is right on each of two threads that fail differently at the same time", async () => {
    using cleanup = new Cleanup();
    const source = `
      import { AF_UNIX, Socket } from ${JSON.stringify(new URL("../ffi/socket.ts", import.meta.url).href)};
      ${countWrong}
      onmessage = ({ data: flags }) => {
        using socket = new Socket(AF_UNIX);
        socket.listen(1); // its own calls of connect() give EINVAL from now on
        let calls = 0;
        let wrong = 0;
        while (flags[1] === 0) {
          wrong += countWrong(1000, socket, "EINVAL");
          calls += 1000;
          Atomics.store(flags, 0, 1);
        }
        postMessage([calls, wrong]);
        close();
      };
    `;
    const worker = new Worker(`data:application/javascript,${encodeURIComponent(source)}`, { type: "module" });
    const flags = new Int32Array(new SharedArrayBuffer(8));
    const [RUNS, STOP] = [0, 1] as const;
    const outcome = once(worker, "message");
    worker.postMessage(flags);
    Atomics.wait(flags, RUNS, 0, 1);
    while (Atomics.load(flags, RUNS) === 0) await new Promise((resolve) => setTimeout(resolve, 1));

    const socket = cleanup.add(new Socket(AF_UNIX));
    socket.close();
    const wrong = countWrong(300_000, socket, "EBADF");
    Atomics.store(flags, STOP, 1);
    const [{ data: [calls, wrongThere] }] = await outcome;
    assertEquals([wrong, wrongThere], [0, 0]);
    assertGreater(calls, 1000);
  });
});
