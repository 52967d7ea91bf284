/**
 * Compares the numbers and layouts of `Timer`, `ProcessExit` and `Signals` with the headers of the C compiler.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as pidfd from "../ffi/os/pidfd.ts";
import { isSignal, signalName, signalNumber } from "../ffi/os/signals.ts";
import * as timerfd from "../ffi/os/timerfd.ts";
import { answersOf } from "./support/compiler.ts";
import { LINUX } from "./support/needs.ts";
import { isLinux, test as declare, testNeeding } from "./support/util.ts";

/** Constants, by their C names. */
const CONSTANTS: Record<string, number> = Object.fromEntries(
  Object.entries({ ...timerfd, ...pidfd })
    .filter(([name, value]) => /^[A-Z_]+$/.test(name) && ["number", "bigint"].includes(typeof value))
    .map(([name, value]) => [name === "SYS_PIDFD_OPEN" ? "SYS_pidfd_open" : name, Number(value)]),
);

/** Constants that old headers lack. */
const NEW = ["PIDFD_GET_INFO", "PIDFD_INFO_EXIT"];

const { size: _itimerspec, ...itimerspec } = timerfd.ITIMERSPEC;
const { size: _siginfo, ...siginfo } = pidfd.SIGINFO;

/** Names of possible signals, including the numbers 1 to 64. */
const SIGNALS = Array.from({ length: 65 }, (_, number) => signalName(number)).filter((name) => name !== null);

const answers = answersOf(() => `
  #define _GNU_SOURCE
  #include <signal.h>
  #include <stddef.h>
  #include <stdio.h>
  #include <sys/wait.h>
  ${isLinux ? "#include <sys/syscall.h>\n#include <sys/timerfd.h>" : ""}
  #if defined(__linux__) && defined(__has_include)
  #if __has_include(<linux/pidfd.h>)
  #include <linux/pidfd.h>
  #endif
  #endif
  #define PUT(name, value) printf("%s=%lld\\n", name, (long long)(value))
  int main(void) {
    ${SIGNALS.map((name) => `\n#ifdef ${name}\nPUT("${name}", ${name});\n#endif\n`).join("")}
    ${
  isLinux
    ? [
      ...Object.keys(CONSTANTS).map((name) =>
        NEW.includes(name) || name === "WCOREFLAG"
          ? `\n#ifdef ${name}\nPUT("${name}", ${name});\n#endif\n`
          : `PUT("${name}", ${name});`
      ),
      'PUT("itimerspec.size", sizeof(struct itimerspec)); PUT("siginfo.size", sizeof(siginfo_t));',
      ...Object.keys(itimerspec).map((field) => `PUT("itimerspec.${field}", offsetof(struct itimerspec, ${field}));`),
      ...Object.keys(siginfo).map((field) => `PUT("siginfo.${field}", offsetof(siginfo_t, ${field}));`),
    ].join("\n")
    : ""
}
    return 0;
  }
`);

const CC = answers === null ? "there is no C compiler `cc` for this processor" : null;
const test = testNeeding(CC, LINUX);

/** Returns a number that C printed. */
function c(name: string): number {
  const answer = answers!.get(name);
  assert(answer !== undefined, `The program does not say ${name}`);
  return Number(answer);
}

describe("layouts of the sources", () => {
  test("ITIMERSPEC matches struct itimerspec, and SIGINFO matches siginfo_t", () => {
    for (const [field, offset] of Object.entries(timerfd.ITIMERSPEC)) {
      assertEquals(offset, c(`itimerspec.${field}`), field);
    }
    for (const [field, offset] of Object.entries(pidfd.SIGINFO)) assertEquals(offset, c(`siginfo.${field}`), field);
  });

  test("constants have the values from the headers", () => {
    assert(Object.keys(CONSTANTS).length >= 10);
    for (const [name, value] of Object.entries(CONSTANTS)) {
      if (NEW.includes(name) && !answers!.has(name)) continue;
      assertEquals(value, c(name), name);
    }
  });

  declare("signals have the numbers of the headers", { needs: [CC] }, () => {
    assert(SIGNALS.length >= 30);
    for (const name of SIGNALS) {
      assert(isSignal(name));
      assertEquals(signalNumber(name), c(name), name);
    }
  });
});
