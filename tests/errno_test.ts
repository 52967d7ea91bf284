import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { result } from "../ffi/os/call.ts";
import { check, EAGAIN, EBADF, EINPROGRESS, EINTR, errnoCode, OSError } from "../ffi/os/errno.ts";
import { os } from "../ffi/os/systems.ts";
import { AF_UNIX, close, OSError as OSErrorOfSocket, Socket } from "../ffi/socket/mod.ts";
import { OSError as OSErrorOfMod } from "../mod.ts";
import { OSError as OSErrorOfSelect } from "../ffi/select/mod.ts";
import * as sys from "../ffi/os/sys.ts";
import { lackedBy } from "./support/needs.ts";
import { isWindows, moduleOf, printedBy, test } from "./support/util.ts";

/** The error numbers of Unix, which Windows does not have. */
const UNIX_ERRORS = lackedBy({ windows: "it checks Unix errors" });
/** The error numbers of Linux. */
const LINUX_ERRORS = lackedBy({ notLinux: `it checks Linux's error numbers, and this is ${os}` });

/** Number of calls. Under Wine, each call is a round trip to another process. */
const MANY = isWindows ? 50_000 : 2_000_000;

describe("OSError", () => {
  test("OSError has the call, its target, the reason and the code", { needs: [UNIX_ERRORS] }, () => {
    const EACCES = 13; // on every Unix
    const error = new OSError("bind", EACCES, "127.0.0.1:80");
    assertEquals(error.message, "bind 127.0.0.1:80: Permission denied (EACCES)");
    assertEquals([error.code, error.errno, error.syscall], ["EACCES", EACCES, "bind"]);
    assertEquals(String(error), "OSError: bind 127.0.0.1:80: Permission denied (EACCES)");
  });

  test("OSError without a target names only the call", () => {
    assertEquals(new OSError("socket", EBADF).message, "socket: Bad file descriptor (EBADF)");
  });

  test("OSError is an Error with its own name and stack", () => {
    const error = new OSError("close", EBADF, "fd 5");
    assertInstanceOf(error, Error);
    assertEquals(error.name, "OSError");
    assert(error.stack?.includes("errno_test.ts"), error.stack ?? "no stack");
  });

  test("OSError has a message for an unknown number", () => {
    const error = new OSError("read", 4095, "fd 5");
    assertEquals(error.message, "read fd 5: Unknown error 4095 (E4095)");
    assertEquals([error.code, error.errno], ["E4095", 4095]);
  });

  test("OSError accepts a code and a text for a number that is not an errno", () => {
    const meaning = { code: "EAI_NONAME", text: "Name or service not known" };
    const error = new OSError("getaddrinfo", -2, "nowhere", meaning);
    assertEquals(error.message, "getaddrinfo nowhere: Name or service not known (EAI_NONAME)");
    assertEquals([error.code, error.errno], ["EAI_NONAME", -2]);
  });

  test("OSError is the same class in every module", () => {
    for (const other of [OSErrorOfMod, OSErrorOfSelect, OSErrorOfSocket]) assertStrictEquals(other, OSError);
  });

  test("OSError has the errno of the failed call", () => {
    const error = assertThrows(() => close(0x7fff_ffff), OSError);
    assertEquals(error.message, "close fd 2147483647: Bad file descriptor (EBADF)");
    assertEquals([error.code, error.errno, error.syscall], ["EBADF", EBADF, "close"]);
  });
});

describe("errnoCode", () => {
  test("errnoCode() returns the names of errors that every Unix has", { needs: [UNIX_ERRORS] }, () => {
    const common = ["EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG"];
    assertEquals(common.map((_, i) => errnoCode(i + 1)), common);
    assertEquals([9, 13, 17, 22, 24, 32].map(errnoCode), ["EBADF", "EACCES", "EEXIST", "EINVAL", "EMFILE", "EPIPE"]);
  });

  test("errnoCode() returns the names of Linux's errors", { needs: [LINUX_ERRORS] }, () => {
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

  test("errnoCode() returns E and the number for an unknown number", () => {
    assertEquals([0, 4095, -2].map(errnoCode), ["E0", "E4095", "E-2"]);
  });
});

describe("result and check", () => {
  test("result() returns a success unchanged, and -errno for -1", () => {
    for (const fine of [0, 1, 0x7fff_ffff, -2]) assertEquals(result(fine, EBADF), fine);
    assertEquals(result(-1, EBADF), -EBADF);
  });

  test("check() returns a success, and throws a failure", () => {
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
 * Makes calls that fail, creates garbage between them, and counts the wrong error codes.
 *
 * It calls `connectEx` because that returns the code; creating a million exceptions would take long. Some of the
 * garbage is kept for a while, so that each collection has objects to move.
 */
function countWrong(calls: number, socket: Socket, expected: string): number {
  const kept: unknown[] = new Array(4096);
  const address = { path: "/dev/null/none" };
  let wrong = 0;
  for (let i = 0; i < calls; i++) {
    kept[i & 4095] = [i, i + 0.5];
    if (socket.connectEx(address) !== expected) wrong++;
  }
  return wrong;
}

function closedSocket(): Socket {
  const socket = new Socket(AF_UNIX);
  socket.close();
  return socket;
}

describe("errno", () => {
  test("errno is right from the first call, before V8 compiles the function", async () => {
    // Calling a function between the system call and the read of errno made it wrong in one process of fifteen.
    const source = `
      import { close } from ${JSON.stringify(import.meta.resolve("../ffi/os/sys.ts"))};
      const wrong = [];
      const kept = new Array(4096);
      for (let i = 0; i < 20_000; i++) {
        kept[i & 4095] = [i, i + 0.5];
        const outcome = close(-1);
        if (outcome !== ${-EBADF}) wrong.push([i, outcome]);
      }
      console.log(JSON.stringify(wrong));
    `;
    for (let process = 0; process < 15; process++) assertEquals(await printedBy(source), []);
  });

  test("errno is right after each of millions of failures under garbage collection", () => {
    const kept: unknown[] = new Array(4096);
    const wrong = new Map<number, number>();
    for (let i = 0; i < MANY; i++) {
      kept[i & 4095] = [i, i + 0.5];
      const outcome = sys.close(-1);
      if (outcome !== -EBADF) wrong.set(outcome, (wrong.get(outcome) ?? 0) + 1);
    }
    assertEquals([...wrong], []);
  });

  test(
    "connectEx() returns the right code 300,000 times under garbage collection",
    { needs: [UNIX_ERRORS] },
    () => {
      const socket = closedSocket();
      assertEquals(countWrong(300_000, socket, "EBADF"), 0);
    },
  );

  test(
    "errno is right on two threads that fail differently at the same time",
    { needs: [UNIX_ERRORS] },
    async () => {
      const header = `
      import { AF_UNIX, Socket } from ${JSON.stringify(new URL("../ffi/socket/mod.ts", import.meta.url).href)};
      ${countWrong}
      const socket = new Socket(AF_UNIX);
    `;
      const there = `
      ${header}
      onmessage = ({ data: flags }) => {
        let calls = 0;
        let wrong = 0;
        do {
          wrong += countWrong(1000, socket, "ENOTDIR");
          calls += 1000;
          Atomics.store(flags, 0, 1);
          Atomics.notify(flags, 0);
        } while (Atomics.load(flags, 1) === 0);
        postMessage([calls > 1000, wrong]);
      };
    `;
      const here = `
      ${header}
      const worker = new Worker(${JSON.stringify(moduleOf(there))}, { type: "module" });
      const flags = new Int32Array(new SharedArrayBuffer(8));
      const outcome = new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
      worker.postMessage(flags);
      await Atomics.waitAsync(flags, 0, 0).value;
      socket.close();
      const wrong = countWrong(200_000, socket, "EBADF");
      Atomics.store(flags, 1, 1);
      console.log(JSON.stringify([wrong, ...await outcome]));
      Deno.exit();
    `;
      assertEquals(await printedBy(here), [0, true, 0]);
    },
  );
});
