/**
 * Tests of the public types. The compiler checks most of them before any test runs: each `@ts-expect-error` marks a
 * line that must not compile.
 *
 * @module
 */

import { assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { type BaseSelector, DefaultSelector, EVENT_READ, EVENT_WRITE, type SelectorKey } from "../mod.ts";
import {
  type Address,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  createServer,
  getaddrinfo,
  type InetAddress,
  SOCK_DGRAM,
  Socket,
  socketpair,
  type UnixAddress,
} from "../ffi/socket/mod.ts";
import { Cleanup, test } from "./support/util.ts";

/** Fails the type check unless two types are equal. */
type Equal<One, Other> = (<T>() => T extends One ? 1 : 2) extends (<T>() => T extends Other ? 1 : 2) ? true : false;
const same = <One, Other>(_: Equal<One, Other>) => {};

describe("types", () => {
  test("register() and modify() require data unless its type includes undefined", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using strict = new DefaultSelector<string>();
    // @ts-expect-error data is missing
    strict.register(here, EVENT_READ);
    // @ts-expect-error data has the wrong type
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
    // @ts-expect-error a number is not a Socket
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

  test("Socket returns addresses of its own family", () => {
    using inet = new Socket(AF_INET, SOCK_DGRAM);
    same<typeof inet, Socket<InetAddress>>(true);
    inet.bind({ hostname: "127.0.0.1", port: 0 });
    const { port }: { port: number } = inet.getsockname();
    assertStrictEquals(port, inet.getsockname().port);
    void (() => {
      same<typeof inet, Socket<InetAddress>>(true);
      const unix = new Socket(AF_UNIX);
      const path: string = unix.getsockname().path + unix.getpeername().path + unix.accept()[1].path;
      // @ts-expect-error a Unix address has no port
      void unix.getsockname().port;
      const [connection, peer] = new Socket(AF_INET6).accept();
      same<typeof connection, Socket<InetAddress>>(true);
      same<typeof peer, InetAddress>(true);
      same<ReturnType<typeof inet.recvFrom>[1], InetAddress>(true);
      same<NonNullable<ReturnType<typeof unix.tryAccept>>, [Socket<UnixAddress>, UnixAddress]>(true);

      // The family is unknown, so addresses of both families are accepted.
      const family: number = AF_INET;
      same<ReturnType<Socket["getsockname"]>, Address>(true);
      for (const socket of [new Socket(), new Socket(family), Socket.fromFd(0)]) {
        same<typeof socket, Socket>(true);
        // @ts-expect-error the address may be a Unix address
        void socket.getsockname().port;
      }
      const either = [AF_INET, AF_UNIX].map((family) => new Socket(family));
      const all: Socket[] = [...either, inet, unix];

      same<ReturnType<typeof socketpair>, [Socket, Socket]>(true);
      const pair = socketpair(AF_UNIX);
      same<typeof pair, [Socket<UnixAddress>, Socket<UnixAddress>]>(true);
      const [{ family: found, address }] = getaddrinfo("localhost", 80);
      same<typeof address, InetAddress>(true);
      const connected = new Socket(found);
      same<typeof connected, Socket<InetAddress>>(true);
      return [path, all];
    });
  });

  test("createServer() returns a socket of the address's family", () => {
    void (() => {
      const inet = createServer({ hostname: "::1", port: 0 });
      same<typeof inet, Socket<InetAddress>>(true);
      const unix = createServer({ path: "/run/server" });
      same<typeof unix, Socket<UnixAddress>>(true);
      const address: Address = Math.random() < 0.5 ? inet.getsockname() : unix.getsockname();
      const either = createServer(address, { family: AF_INET6 });
      same<typeof either, Socket>(true);
      const listener = Deno.listen({ port: 0 });
      const copy = createServer(listener.addr as Deno.NetAddr);
      same<typeof copy, Socket<InetAddress>>(true);
    });
  });
});
