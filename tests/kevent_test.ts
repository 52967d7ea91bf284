/**
 * `Kevent`, after CPython's test_kqueue.py.
 *
 * Kevents are ordered by a method here, `compareTo`. For an argument that is not a Kevent, `equals` returns false and
 * `compareTo` throws a TypeError.
 *
 * @module
 */

import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import {
  Kevent,
  KQ_EV_ADD,
  KQ_EV_DELETE,
  KQ_FILTER_NETDEV,
  KQ_FILTER_READ,
  KQ_FILTER_WRITE,
  KQ_NOTE_EXIT,
  KQ_NOTE_FORK,
} from "../ffi/select/mod.ts";
import { os } from "../ffi/os/systems.ts";
import { NO_STAND_IN, test } from "./support/kqueue.ts";
import { skip } from "./support/util.ts";

if (os === "linux") {
  describe("Kevent", () => {
    test("create_event: defaults", (cleanup) => {
      const [here] = cleanup.pair();
      for (const ident of [here, here.fileno()]) {
        const event = new Kevent(ident);
        assertEquals({ ...event }, {
          ident: here.fileno(),
          filter: KQ_FILTER_READ,
          flags: KQ_EV_ADD,
          fflags: 0,
          data: 0,
          udata: 0,
        });
      }
      const event = new Kevent(1, KQ_FILTER_WRITE, KQ_EV_DELETE, 2, -3, 4);
      assertEquals(Object.values(event), [1, KQ_FILTER_WRITE, KQ_EV_DELETE, 2, -3, 4]);
    });

    test("create_event: order and equality", () => {
      const event = new Kevent(5);
      const equal = new Kevent(5, KQ_FILTER_READ, KQ_EV_ADD, 0, 0n, 0n);
      assert(event.equals(equal) && event.equals(event));
      assertEquals(event.compareTo(equal), 0);
      const greater = [
        new Kevent(6, -5),
        new Kevent(2n ** 63n),
        new Kevent(5, KQ_FILTER_READ + 1),
        new Kevent(5, KQ_FILTER_READ, 2),
        new Kevent(5, KQ_FILTER_READ, 1, 1),
        new Kevent(5, KQ_FILTER_READ, 1, 0, 1),
        new Kevent(5, KQ_FILTER_READ, 1, 0, 0, 1),
      ];
      for (const other of greater) {
        assert(event.compareTo(other) < 0 && other.compareTo(event) > 0);
        assertFalse(event.equals(other));
      }
      for (const other of [null, undefined, 1, "ev", { ...event }]) {
        assertFalse(event.equals(other));
        assertThrows(() => event.compareTo(other as Kevent), TypeError);
      }
    });

    test("create_event: numbers as wide as their fields (issue 11973)", () => {
      const [INT64_MAX, UINT64_MAX] = [2n ** 63n - 1n, 2n ** 64n - 1n];
      const event = new Kevent(UINT64_MAX, -32768, 0xffff, 0xffff_ffff, INT64_MAX, UINT64_MAX);
      assertEquals(Object.values(event), [UINT64_MAX, -32768, 0xffff, 0xffff_ffff, INT64_MAX, UINT64_MAX]);
      assertEquals(new Kevent(1, 1, 1, 1, -INT64_MAX - 1n).data, -INT64_MAX - 1n);
      assertEquals(new Kevent(1, 1, 1, KQ_NOTE_EXIT | KQ_NOTE_FORK).fflags, 0xc000_0000);
      assertEquals(new Kevent(5n).ident, 5);
      assertEquals(new Kevent(2n ** 53n).ident, 2n ** 53n);
      const wrong: (() => Kevent)[] = [
        () => new Kevent(-1),
        () => new Kevent(1.5),
        () => new Kevent(2 ** 53),
        () => new Kevent(UINT64_MAX + 1n),
        () => new Kevent(1, KQ_FILTER_NETDEV),
        () => new Kevent(1, 32768),
        () => new Kevent(1, 1, 0x1_0000),
        () => new Kevent(1, 1, -1),
        () => new Kevent(1, 1, 1, 2 ** 32),
        () => new Kevent(1, 1, 1, 1, INT64_MAX + 1n),
        () => new Kevent(1, 1, 1, 1, 1, -1),
        () => new Kevent(1, 1, 1, 1, 1, UINT64_MAX + 1n),
        () => new Kevent(1, 1, 1, 1, 1, NaN),
      ];
      for (const make of wrong) assertThrows(make, RangeError, "of an event");
      for (const value of ["1", null, true, {}, Symbol("1")] as never[]) {
        const made: (() => Kevent)[] = [
          () => new Kevent(1, value),
          () => new Kevent(1, 1, value),
          () => new Kevent(1, 1, 1, value),
          () => new Kevent(1, 1, 1, 1, value),
          () => new Kevent(1, 1, 1, 1, 1, value),
        ];
        for (const make of made) assertThrows(make, TypeError, "of an event");
      }
      for (const ident of ["5", true, undefined]) {
        assertThrows(() => new Kevent(ident as never), TypeError, "of an event");
      }
      assertThrows(() => new Kevent(null as never), TypeError, "file object");
      assertThrows(() => new Kevent({} as number), TypeError, "file object");
    });
  });
} else {
  skip("Kevent", NO_STAND_IN);
}
