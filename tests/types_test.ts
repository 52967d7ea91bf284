/**
 * Tests of the public types. The compiler checks most of them before any test runs: each `@ts-expect-error` marks a line
 * that must not compile.
 *
 * @module
 */

import { assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { type BaseSelector, DefaultSelector, EVENT_READ, EVENT_WRITE, type SelectorKey } from "../mod.ts";
import type { Socket } from "../ffi/socket/mod.ts";
import { Cleanup, test } from "./support/util.ts";

describe("types", () => {
  test("register() and modify() require data unless its type includes undefined", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using strict = new DefaultSelector<string>();
    // @ts-expect-error data is missing
    strict.register(here, EVENT_READ);
    // @ts-expect-error data is of another type
    strict.register(there, EVENT_READ, 5);
    // @ts-expect-error data is missing
    strict.modify(here, EVENT_WRITE);
    strict.modify(here, EVENT_WRITE, "fine");
    const data: string = strict.getKey(here).data;
    assertStrictEquals(data, "fine");

    using lax = new DefaultSelector<string | undefined>();
    lax.register(here, EVENT_READ);
    using any = new DefaultSelector();
    any.register(here, EVENT_READ);
    any.modify(here, EVENT_READ, { whatever: true });
  });

  test("SelectorKey has the types of its file object and data", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using selector = new DefaultSelector<() => number, Socket>();
    const key: SelectorKey<() => number, Socket> = selector.register(here, EVENT_READ, () => 5);
    // @ts-expect-error a number is no Socket
    const wrong = () => selector.register(5, EVENT_READ, () => 5);
    void wrong;
    assertStrictEquals(key.data(), 5);
    assertStrictEquals(key.fileobj.family, here.family);
    // @ts-expect-error keys are read-only
    const write = () => key.fd = 5;
    void write;
    const base: BaseSelector<() => number, Socket> = selector;
    const annotated: DefaultSelector<() => number, Socket> = base;
    assertStrictEquals(annotated, selector);
    const general: BaseSelector<unknown, Socket> = selector; // for functions that take any selector
    assertStrictEquals(general, selector);
  });
});
