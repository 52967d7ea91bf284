import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE, type FileObject, KeyError } from "../../../mod.ts";
import type { Subject } from "./subject.ts";

/** Declares the tests of `getKey()` and `getMap()`. */
export function mapContract({ name, test, make }: Subject): void {
  describe(`${name}: getKey() and getMap()`, () => {
    test("getKey() finds a key by object and by number", (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ, "data");
      assertStrictEquals(selector.getKey(here), key);
      assertStrictEquals(selector.getKey(here.fileno()), key);
      assertThrows(() => selector.getKey(there), KeyError, `fd ${there.fileno()}`);
      assertThrows(() => selector.getKey(999_999), KeyError, "fd 999999");
      assertThrows(() => selector.getKey(1.5), TypeError);
    });

    test("getMap() returns a live view in the order of registration", (cleanup) => {
      const selector = make<string>(cleanup);
      const map = selector.getMap()!;
      assertEquals([map.size, [...map]], [0, []]);
      const [one, other] = cleanup.pair();
      const [first, second] = [other, one]; // the higher number first
      const keys = [selector.register(first, EVENT_READ, "a"), selector.register(second, EVENT_WRITE, "b")];
      const fds = [first.fileno(), second.fileno()];
      assertStrictEquals(selector.getMap(), map);
      assertEquals(map.size, 2);
      assertEquals([...map.keys()], fds);
      assertEquals([...map.values()], keys);
      assertEquals([...map.entries()], fds.map((fd, index) => [fd, keys[index]!]));
      assertEquals([...map], [...map.entries()]);
      const seen: unknown[] = [];
      map.forEach((key, fd, view) => seen.push(key, fd, view));
      assertEquals(seen, [keys[0], fds[0], map, keys[1], fds[1], map]);
      for (const [index, fileobj] of [first, second].entries()) {
        assertStrictEquals(map.get(fileobj), keys[index]);
        assertStrictEquals(map.get(fds[index]!), keys[index]);
        assert(map.has(fileobj) && map.has(fds[index]!));
      }
      selector.unregister(first);
      assertEquals([map.size, map.has(first), map.get(first)], [1, false, undefined]);
    });

    test("Deno.inspect() shows the class, the number of registrations, and whether the selector is closed", (cleanup) => {
      const selector = make(cleanup);
      const { name } = selector.constructor;
      assertEquals(Deno.inspect(selector), `${name} { registered: 0, closed: false }`);
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ, "a");
      selector.register(there, EVENT_READ, "b");
      void selector.wakeHandle; // the descriptor of the handle is not counted
      assertEquals(Deno.inspect({ selector }), `{ selector: ${name} { registered: 2, closed: false } }`);
      selector.close();
      assertEquals(Deno.inspect(selector), `${name} { registered: 0, closed: true }`);
    });

    test("getMap() keeps its order through modify(), and an iteration sees changes", (cleanup) => {
      const selector = make<string>(cleanup);
      const map = selector.getMap()!;
      const [a, b] = cleanup.pair();
      const [c, d] = cleanup.pair();
      for (const fileobj of [d, b, c]) selector.register(fileobj, EVENT_READ, "first");
      selector.unregister(d);
      selector.register(d, EVENT_READ, "again"); // now the last
      selector.modify(b, EVENT_WRITE, "modified"); // stays the first
      const order = () => [...map.values()].map(({ fileobj }) => fileobj);
      assertEquals(order(), [b, c, d]); // iterated for the first time
      selector.unregister(b);
      selector.modify(c, EVENT_WRITE, "modified");
      selector.register(b, EVENT_READ, "again");
      assertEquals(order(), [c, d, b]);
      const seen: unknown[] = [];
      for (const [fd, key] of map) {
        seen.push(key.fileobj);
        if (fd === c.fileno()) {
          selector.unregister(d);
          selector.register(a, EVENT_READ, "late");
        }
      }
      assertEquals(seen, [c, b, a]);
      assertEquals(map.size, 3);
    });

    test("getMap() has no mutating method, and finds nothing for an invalid file object", (cleanup) => {
      const selector = make(cleanup);
      const map = selector.getMap()!;
      assertFalse("set" in map || "delete" in map || "clear" in map);
      const [here] = cleanup.pair();
      selector.register(here, EVENT_READ);
      const strings = ["length", String(here.fileno()), [here.fileno()]].map((fd) => ({ fileno: () => fd }));
      for (const strange of [{}, null, undefined, "1", -1, 1.5, NaN, ...strings] as FileObject[]) {
        assertEquals([map.get(strange), map.has(strange)], [undefined, false]);
      }
    });

    test("SelectorKey is read-only", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      const key = selector.register(here, EVENT_READ, "data") as { fd: number; data: unknown };
      assertThrows(() => key.fd = 5, TypeError);
      assertThrows(() => key.data = 5, TypeError);
    });
  });
}
