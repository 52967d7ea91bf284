/**
 * The layouts and the constants of kqueue on each system.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import {
  KQ_EV_ENABLE,
  KQ_EV_FLAG1,
  KQ_EV_SYSFLAGS,
  KQ_FILTER_READ,
  KQ_FILTER_TIMER,
  KQ_FILTER_USER,
  KQ_FILTER_WRITE,
} from "../ffi/select/mod.ts";
import { KQUEUE_SYSTEMS } from "../ffi/os/kqueue_system.ts";
import * as constants from "../ffi/select/kqueue_constants.ts";
import { arch, os, SYSTEMS as RECORDS } from "../ffi/os/systems.ts";
import type { StandInSystem } from "./standins/kqueue_standin.ts";
import { FILTERS, NO_STAND_IN, SYSTEMS, test } from "./support/kqueue.ts";
import { skip } from "./support/util.ts";

/** Returns the layout and filters in the order of the test, or null if the compiler or header is missing. */
function askCompiler(header: string): number[] | null {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.statSync(header);
    const fields = ["ident", "filter", "flags", "fflags", "data", "udata"];
    const filters = ["READ", "WRITE", "VNODE", "PROC", "SIGNAL", "TIMER", "USER"];
    const values = ["sizeof(struct kevent)", ...fields.map((field) => `offsetof(struct kevent, ${field})`)]
      .concat(filters.map((filter) => `EVFILT_${filter}`));
    const lines = values.map((value) => `printf("%d\\n", (int)(${value}));`).join("\n");
    const [source, binary] = [join(directory, "kevent.c"), join(directory, "kevent")];
    Deno.writeTextFileSync(
      source,
      `#include <stddef.h>\n#include <stdio.h>\n#include "${header}"\nint main(void) { ${lines} return 0; }`,
    );
    const compiled = new Deno.Command("cc", { args: ["-o", binary, source] }).outputSync();
    assert(compiled.success, new TextDecoder().decode(compiled.stderr));
    const { stdout } = new Deno.Command(binary).outputSync();
    return new TextDecoder().decode(stdout).trim().split("\n").map(Number);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

if (os === "linux") {
  describe("kqueue layouts and constants", () => {
    // Repeated here from the C declarations, not copied from the package.
    const layouts: Record<StandInSystem, number[]> = {
      darwin: [32, 0, 8, 10, 12, 16, 24],
      freebsd: [64, 0, 8, 10, 12, 16, 24],
      netbsd: [40, 0, 8, 12, 16, 24, 32],
      linux: [32, 0, 8, 10, 12, 16, 24],
    };

    test("KEVENT has the size and offsets of struct kevent on each system", () => {
      assertEquals(Object.keys(KQUEUE_SYSTEMS).sort(), Object.keys(layouts).sort());
      for (const system of SYSTEMS) {
        const { size, ident, filter, flags, fflags, data, udata } = RECORDS[system].kqueue.kevent;
        assertEquals([size, ident, filter, flags, fflags, data, udata], layouts[system], system);
      }
    });

    test("KQ_FILTER_* have the numbers of each system", () => {
      const bsd = {
        READ: -1,
        WRITE: -2,
        AIO: -3,
        VNODE: -4,
        PROC: -5,
        SIGNAL: -6,
        TIMER: -7,
        NETDEV: NaN,
        USER: -11,
        EXCEPT: NaN,
      };
      const netbsd = {
        READ: 0,
        WRITE: 1,
        AIO: 2,
        VNODE: 3,
        PROC: 4,
        SIGNAL: 5,
        TIMER: 6,
        NETDEV: NaN,
        USER: 8,
        EXCEPT: NaN,
      };
      assertEquals(KQUEUE_SYSTEMS.darwin.filters, { ...bsd, USER: -10, EXCEPT: -15 });
      assertEquals(KQUEUE_SYSTEMS.freebsd.filters, bsd);
      assertEquals(KQUEUE_SYSTEMS.netbsd.filters, netbsd);
      assertEquals(KQUEUE_SYSTEMS.linux.filters, bsd);
      assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.processMask), [
        0xfff0_0000,
        0xf000_0000,
        0xf000_0000,
        0xf000_0000,
      ]);
      assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.confirm), [
        KQ_EV_ENABLE,
        KQ_EV_ENABLE,
        KQ_EV_ENABLE,
        0,
      ]);
      const FIOCLEX = 0x20000000 | "f".charCodeAt(0) << 8 | 1; // _IO('f', 1)
      assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.closeOnExec), [FIOCLEX, FIOCLEX, FIOCLEX, 0x5451]);
      const stats = SYSTEMS.map((system) => RECORDS[system].kqueue.stat);
      assertEquals(stats.map(({ st_dev, st_ino, st_mode }) => [st_dev, st_ino, st_mode]), [
        [0, 8, 4],
        [0, 8, 24],
        [0, 16, 8],
        [0, 8, arch === "x86_64" ? 24 : 16],
      ]);
      assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.isPollable), [true, true, true, false]);
    });

    test("KQ_EV_* and KQ_NOTE_* have Python's values", () => {
      const numbers = Object.fromEntries(
        Object.entries(constants).filter(([name]) => /^KQ_(EV|NOTE)_/.test(name)),
      );
      assertEquals(numbers, {
        KQ_EV_ADD: 1,
        KQ_EV_DELETE: 2,
        KQ_EV_ENABLE: 4,
        KQ_EV_DISABLE: 8,
        KQ_EV_ONESHOT: 16,
        KQ_EV_CLEAR: 32,
        KQ_EV_RECEIPT: 64,
        KQ_EV_DISPATCH: 128,
        KQ_EV_SYSFLAGS: 61440,
        KQ_EV_FLAG1: 8192,
        KQ_EV_ERROR: 16384,
        KQ_EV_EOF: 32768,
        KQ_NOTE_LOWAT: 1,
        KQ_NOTE_DELETE: 1,
        KQ_NOTE_WRITE: 2,
        KQ_NOTE_EXTEND: 4,
        KQ_NOTE_ATTRIB: 8,
        KQ_NOTE_LINK: 16,
        KQ_NOTE_RENAME: 32,
        KQ_NOTE_REVOKE: 64,
        KQ_NOTE_EXIT: 2147483648,
        KQ_NOTE_FORK: 1073741824,
        KQ_NOTE_EXEC: 536870912,
        KQ_NOTE_PCTRLMASK: 4026531840,
        KQ_NOTE_PDATAMASK: 1048575,
        KQ_NOTE_TRACK: 1,
        KQ_NOTE_TRACKERR: 2,
        KQ_NOTE_CHILD: 4,
        KQ_NOTE_LINKUP: 1,
        KQ_NOTE_LINKDOWN: 2,
        KQ_NOTE_LINKINV: 4,
        KQ_NOTE_TRIGGER: 0x1000000,
        KQ_NOTE_FFNOP: 0,
        KQ_NOTE_FFAND: 0x40000000,
        KQ_NOTE_FFOR: 0x80000000,
        KQ_NOTE_FFCOPY: 0xc0000000,
        KQ_NOTE_FFCTRLMASK: 0xc0000000,
        KQ_NOTE_FFLAGSMASK: 0xffffff,
      });
      assertEquals([KQ_FILTER_READ, KQ_FILTER_WRITE, KQ_FILTER_TIMER, KQ_FILTER_USER], FILTERS.linux);
      assertEquals(KQ_EV_SYSFLAGS & KQ_EV_FLAG1, KQ_EV_FLAG1);
    });

    const HEADER = "/usr/include/kqueue/sys/event.h";
    const layoutOfHeader = askCompiler(HEADER);
    const needs = [
      layoutOfHeader === null ? `there is no ${HEADER} (package libkqueue-dev), or no C compiler \`cc\`` : null,
    ];

    test("KEVENT and KQ_FILTER_* match libkqueue's header", { needs }, () => {
      const { READ, WRITE, VNODE, PROC, SIGNAL, TIMER, USER } = KQUEUE_SYSTEMS.linux.filters;
      assertEquals(layoutOfHeader, [...layouts.linux, READ, WRITE, VNODE, PROC, SIGNAL, TIMER, USER]);
    });
  });
} else {
  skip("kqueue layouts and constants", NO_STAND_IN);
}
