/**
 * AfdSelector, and its poller, system calls and asynchronous waits.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { AfdPoller, pollerAt } from "../ffi/os/afd.ts";
import { baseHandleOf, isSignaled, SIO_BASE_HANDLE, SIO_BSP_HANDLE_POLL } from "../ffi/os/afd_system.ts";
import { EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP } from "../ffi/os/errno.ts";
import { type InetAddress, Socket, socketpair } from "../ffi/socket/mod.ts";
import {
  AfdSelector,
  BaseSelector,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  type FileObject,
  MODE_ONCE,
  OSError,
  SelectSelector,
} from "../mod.ts";
import { asyncContract } from "./contracts/async_contract.ts";
import { asynchronously, type Contract, selectorContract } from "./contracts/selector_contract.ts";
import { stress } from "./support/afd_stress.ts";
import { WINSOCK } from "./support/needs.ts";
import { EXAMPLES, Program, ROOT } from "./support/program.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  CountingSelector,
  isWindows,
  isWine,
  nextTurns,
  printedBy,
  readyFds,
  received,
  SOON,
  test as declare,
  testNeeding,
} from "./support/util.ts";

const test = testNeeding(WINSOCK);

/** Takes few packets per call, and calls select() to check two or more ready sockets. */
class SmallAfdSelector<D = unknown, F extends FileObject = FileObject> extends BaseSelector<D, F> {
  constructor() {
    super(new AfdPoller({ packets: 3, batch: 2 }));
  }
}

if (isWindows) {
  const small: Contract = {
    name: "AfdSelector with small limits",
    create: () => new SmallAfdSelector(),
    lacks: { closedWithData: isWine ? "Wine reports the end of the stream when the data has been read" : null },
  };
  selectorContract(small);
  selectorContract({ ...small, name: `${small.name}, waiting asynchronously`, select: asynchronously });
  asyncContract(small);
}

/**
 * Returns the number of open handles of this process. Tries the lowest numbers, because Wine does not count handles.
 */
function openHandles(): number {
  const kernel32 = Deno.dlopen("kernel32.dll", {
    GetHandleInformation: { parameters: ["usize", "buffer"], result: "i32" },
  });
  const flags = new Uint32Array(1);
  let count = 0;
  for (let handle = 4; handle < 4 * 8_192; handle += 4) {
    count += kernel32.symbols.GetHandleInformation(BigInt(handle), flags);
  }
  kernel32.close();
  return count;
}

/** Returns how many times a function allocates memory for requests. */
function allocations(body: () => void): number {
  const { getArrayBuffer } = Deno.UnsafePointerView;
  let count = 0;
  Deno.UnsafePointerView.getArrayBuffer = (...args) => {
    count++;
    return getArrayBuffer(...args);
  };
  try {
    body();
  } finally {
    Deno.UnsafePointerView.getArrayBuffer = getArrayBuffer;
  }
  return count;
}

describe("AfdSelector", () => {
  declare("new AfdSelector() throws on other systems, and names another selector", {
    needs: [isWindows ? "this is Windows" : null],
  }, () => {
    assertThrows(() => new AfdSelector(), Deno.errors.NotSupported, "use DefaultSelector");
  });

  test("supports() is true for the events that AFD can report", () => {
    using selector = new AfdSelector();
    assert(selector.supports(BOTH | EVENT_PRIORITY | EVENT_READ_CLOSED | MODE_ONCE));
    assertEquals(selector.supports(EVENT_HANGUP), false);
  });

  test("modify() cancels the poll if it adds events, and keeps the poll if it removes events", () => {
    using cleanup = new Cleanup();
    const selector = cleanup.add(new CountingSelector(new AfdPoller()));
    const [here] = cleanup.pair();
    selector.register(here, EVENT_READ);
    assertEquals(readyFds(selector, 0), []);
    for (let round = 0; round < 3; round++) {
      selector.modify(here, BOTH);
      assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
      selector.modify(here, EVENT_READ);
      assertEquals(readyFds(selector, 0), []);
    }
    selector.modify(here, BOTH);
    selector.modify(here, EVENT_READ);
    assertEquals(readyFds(selector, 0), []);
  });

  test("select() reports a socket that is registered again while its poll is canceled", () => {
    using cleanup = new Cleanup();
    const selector = cleanup.add(new AfdSelector());
    const [here, there] = cleanup.pair();
    for (let round = 0; round < 100; round++) {
      selector.register(here, EVENT_READ);
      assertEquals(readyFds(selector, 0), []);
      selector.unregister(here);
      there.send(bytes("x"));
      const key = selector.register(here, EVENT_READ);
      assertEquals(selector.select(), [[key, EVENT_READ]]);
      here.recv(1);
      selector.unregister(here);
    }
  });

  test("select() does not report a new socket that reuses the number of a socket closed during a poll", () => {
    using cleanup = new Cleanup();
    const selector = cleanup.add(new AfdSelector());
    for (let round = 0; round < 50; round++) {
      const [here, there] = socketpair();
      selector.register(here, EVENT_READ);
      assertEquals(readyFds(selector, 0), []);
      const fd = here.fileno();
      here.close();
      there.close();
      const others = Array.from({ length: 4 }, () => cleanup.pair()).flat();
      const heir = others.find((socket) => socket.fileno() === fd);
      for (const socket of others) socket.send(bytes("x"));
      assertEquals(readyFds(selector, 0), []);
      selector.unregister(fd);
      if (heir === undefined) continue;
      const key = selector.register(heir, EVENT_READ);
      assertEquals(selector.select(), [[key, EVENT_READ]]);
      selector.unregister(heir);
    }
  });

  test("10,000 cycles of register(), modify(), unregister() and close() leak no handles and no memory", () => {
    using cleanup = new Cleanup();
    const selector = cleanup.add(new AfdSelector<number>());
    function cycle(count: number): void {
      for (let done = 0; done < count; done++) {
        const [here, there] = socketpair();
        selector.register(here, EVENT_READ, done);
        if (done % 2 === 0) selector.select(0); // starts a poll
        selector.modify(here, done % 3 === 0 ? BOTH : EVENT_WRITE, done);
        if (done % 4 < 2) assertEquals(selector.select(0).length, 1);
        if (done % 5 === 0) selector.modify(here, EVENT_READ, done);
        if (done % 6 === 0) here.close(); // while a poll is pending
        there.close();
        selector.unregister(done % 6 === 0 ? selector.getMap()!.keys().next().value! : here);
        here.close();
      }
      assertEquals(readyFds(selector, 0), []);
    }
    cycle(500);
    const handles = openHandles();
    assertEquals(allocations(() => cycle(10_000)), 0);
    assertLess(openHandles(), handles + 20);
  });

  test("close() with 200 pending polls leaks no handles", () => {
    using cleanup = new Cleanup();
    const pairs = Array.from({ length: 100 }, () => cleanup.pair());
    function open(): void {
      const selector = new AfdSelector();
      for (const socket of pairs.flat()) selector.register(socket, EVENT_READ);
      assertEquals(selector.select(0), []);
      selector.close();
    }
    open();
    const handles = openHandles();
    for (let round = 0; round < 20; round++) open();
    assertLess(openHandles(), handles + 20);
    for (const [here] of pairs) here.send(bytes("x"));
  });

  test("select() and selectAsync() mix up, invent and lose no event under stress", async () => {
    for (let seed = 11; seed < 14; seed++) {
      const findings = await stress(() => new AfdSelector(), { seed });
      assertEquals([seed, findings], [seed, { confused: 0, spurious: 0, lost: 0 }]);
      const small = await stress(() => new SmallAfdSelector(), { seed });
      assertEquals([seed, small], [seed, { confused: 0, spurious: 0, lost: 0 }]);
    }
  });
});

describe("AfdPoller", () => {
  test("AfdPoller signals its port while the port has a packet", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const poller = new AfdPoller();
    cleanup.defer(() => poller.close());
    assertEquals(pollerAt(poller.fd), poller);
    poller.add(here.fileno(), EVENT_READ, 7);
    assertEquals([poller.wait(0), isSignaled(poller.fd)], [0, false]);
    there.send(bytes("x"));
    assertEquals([isSignaled(poller.fd), isSignaled(poller.fd)], [true, true]);
    assertEquals([poller.wait(0), poller.fdAt(0), poller.serialAt(0)], [1, here.fileno(), 7]);
    // The socket is ready, but no poll is pending.
    assertEquals(isSignaled(poller.fd), false);
    poller.arm();
    assertEquals(isSignaled(poller.fd), true);
  });

  test("AfdPoller keeps a poll pending for every socket while another thread waits for the port", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const poller = new AfdPoller({ packets: 3, batch: 1 });
    cleanup.defer(() => poller.close());
    poller.isParked = true;
    there.send(bytes("x"));
    poller.add(here.fileno(), EVENT_READ, 7);
    for (let round = 0; round < 3; round++) {
      assertEquals(isSignaled(poller.fd), true);
      assertEquals(poller.wait(0), 1);
    }
    here.recv(1);
    assertEquals([poller.wait(0), isSignaled(poller.fd)], [0, false]);
    poller.modify(here.fileno(), BOTH);
    assertEquals(isSignaled(poller.fd), true);
    poller.modify(here.fileno(), EVENT_READ);
    assertEquals([poller.wait(0), isSignaled(poller.fd)], [0, false]);
    poller.remove(here.fileno());
    assertEquals(isSignaled(poller.fd), false);
  });

  test("disarm() ends every poll until the next arm() or wait()", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const poller = new AfdPoller();
    poller.add(here.fileno(), EVENT_READ, 7);
    assertEquals(poller.wait(0), 0);
    poller.disarm();
    there.send(bytes("x"));
    assertEquals(isSignaled(poller.fd), false);
    poller.arm();
    assertEquals(isSignaled(poller.fd), true);
    poller.disarm();
    assertEquals([isSignaled(poller.fd), poller.wait(0)], [false, 1]);
    poller.close();
    assertEquals(poller.arm(), 0);
  });

  declare("baseHandleOf() goes down the layers of providers that intercept SIO_BASE_HANDLE", () => {
    const layers = (socket: number, request: number) =>
      request === SIO_BSP_HANDLE_POLL ? socket - 4 : socket === 100 ? 96 : -EINVAL;
    assertEquals(baseHandleOf(112, layers), 96);
    assertEquals(baseHandleOf(112, (socket, request) => request === SIO_BASE_HANDLE ? -EINVAL : socket), -EOPNOTSUPP);
    assertEquals(baseHandleOf(112, () => -EINVAL), -EOPNOTSUPP);
    assertEquals(baseHandleOf(112, () => -ENOTSOCK), -EBADF);
  });
});

describe("AfdSelector in asynchronous waits", () => {
  test("selectAsync() waits together with a SelectSelector and other AfdSelectors", async () => {
    using cleanup = new Cleanup();
    const selectors = [new AfdSelector(), new SelectSelector(), new AfdSelector()];
    const waits = selectors.map((selector) => {
      cleanup.add(selector);
      const [here, there] = cleanup.pair();
      return { here, there, key: selector.register(here, EVENT_READ), wait: selector.selectAsync(SOON) };
    });
    for (const { there, key, wait } of waits.reverse()) {
      await nextTurns();
      there.send(bytes("x"));
      assertEquals(await wait, [[key, EVENT_READ]]);
    }
  });

  test("selectAsync() continues if a socket of a SelectSelector is closed, even if its number is reused", async () => {
    using cleanup = new Cleanup();
    const selectors = [cleanup.add(new SelectSelector()), cleanup.add(new AfdSelector())];
    for (const isReused of [false, true]) {
      const [here, there] = socketpair();
      const [other, writer] = cleanup.pair();
      selectors[0]!.register(here, EVENT_READ);
      const keys = selectors.map((selector) =>
        selector.register(selector === selectors[0] ? other : writer, EVENT_READ)
      );
      const waits = selectors.map((selector) => selector.selectAsync(2 * SOON));
      await nextTurns();
      const fd = here.fileno();
      here.close();
      there.close();
      if (isReused) { for (let count = 0; count < 4; count++) cleanup.pair(); }
      await nextTurns();
      writer.send(bytes("x"));
      assertEquals(await waits[0], [[keys[0], EVENT_READ]]);
      other.send(bytes("y"));
      assertEquals(await waits[1], [[keys[1], EVENT_READ]]);
      other.recv(1);
      for (const [index, selector] of selectors.entries()) selector.unregister(keys[index]!.fd);
      selectors[0]!.unregister(fd);
    }
  });

  test("selectAsync() of 80 selectors waits for more ports than one call accepts", async () => {
    using cleanup = new Cleanup();
    const waits = Array.from({ length: 80 }, () => {
      const selector = cleanup.add(new AfdSelector());
      const [here, there] = cleanup.pair();
      return { there, key: selector.register(here, EVENT_READ), wait: selector.selectAsync(2 * SOON) };
    });
    await nextTurns();
    for (const { there, key, wait } of [waits[79]!, waits[0]!, waits[62]!, waits[63]!]) {
      there.send(bytes("x"));
      // A call that misses the port returns after two seconds, and would only then find it.
      const { promise, resolve } = Promise.withResolvers<string>();
      const timer = setTimeout(() => resolve("late"), 1_800);
      assertEquals(await Promise.race([wait, promise]), [[key, EVENT_READ]]);
      clearTimeout(timer);
    }
    for (const { there } of waits) there.send(bytes("x"));
    for (const { wait, key } of waits) assertEquals(await wait, [[key, EVENT_READ]]);
  });

  test("selectAsync() returns a socket that a synchronous select() has reported during the wait", async () => {
    using cleanup = new Cleanup();
    const selector = cleanup.add(new AfdSelector());
    const [here, there] = cleanup.pair();
    const key = selector.register(here, EVENT_READ);
    for (let round = 0; round < 20; round++) {
      const wait = selector.selectAsync(SOON);
      await nextTurns();
      there.send(bytes("x"));
      assertEquals(selector.select(), [[key, EVENT_READ]]);
      if (round % 2 === 0) {
        here.recv(1);
        await nextTurns();
        there.send(bytes("y"));
      }
      assertEquals(await wait, [[key, EVENT_READ]]);
      here.recv(1);
    }
  });

  test("for await leaks no handles", async () => {
    using cleanup = new Cleanup();
    const pairs = Array.from({ length: 3 }, () => cleanup.pair());
    async function open(): Promise<void> {
      using selector = new AfdSelector();
      for (const [here] of pairs) selector.register(here, EVENT_READ);
      assertEquals(await selector.selectAsync(0.001), []);
    }
    for (let round = 0; round < 5; round++) await open();
    const handles = openHandles();
    for (let round = 0; round < 50; round++) await open();
    assertLess(openHandles(), handles + 20);
  });
});

describe("AfdSelector in a Worker", () => {
  for (const [title, wait] of [["polls", "select(0)"], ["polls and a parked wait", "selectAsync()"]]) {
    test(`AfdSelector lets the process survive when a Worker is terminated with ${title} pending`, async () => {
      const module = JSON.stringify(new URL("../mod.ts", import.meta.url).href);
      const socket = JSON.stringify(new URL("../ffi/socket/mod.ts", import.meta.url).href);
      const worker = `
        import { AfdSelector, EVENT_READ } from ${module};
        self.onmessage = ({ data }) => {
          const selector = new AfdSelector();
          for (const fd of data) selector.register(fd, EVENT_READ);
          selector.${wait};
          setTimeout(() => self.postMessage("pending"), 20);
        };`;
      const printed = await printedBy(`
        import { AfdSelector, EVENT_READ } from ${module};
        import { socketpair } from ${socket};
        let reported = 0;
        for (let round = 0; round < 5; round++) {
          const pairs = Array.from({ length: 100 }, () => socketpair());
          const worker = new Worker("data:application/javascript," + ${
        JSON.stringify(encodeURIComponent(worker))
      }, { type: "module" });
          worker.postMessage(pairs.map(([here]) => here.fileno()));
          await new Promise((resolve) => worker.onmessage = resolve);
          worker.terminate();
          await new Promise((resolve) => setTimeout(resolve, 50));
          // If the Worker's memory was released, these arrays may reuse it.
          const others = Array.from({ length: 100 }, () => new Uint8Array(65_536).fill(7));
          for (const [, there] of pairs) there.send(new Uint8Array(1));
          await new Promise((resolve) => setTimeout(resolve, 50));
          if (!others.every((other) => other.every((byte) => byte === 7))) throw new Error("foreign memory is overwritten");
          using selector = new AfdSelector();
          for (const [here] of pairs) selector.register(here, EVENT_READ);
          reported += selector.select().length;
          for (const socket of pairs.flat()) socket.close();
        }
        console.log(reported);
        Deno.exit(0);
      `);
      assertEquals(printed, 500);
    });
  }
});

describe("echo_server on AfdSelector", () => {
  test("echo_server serves 1,000 clients at once on AfdSelector", async () => {
    using cleanup = new Cleanup();
    // Written to a temporary directory, because other tests may list the directory of the examples at this time.
    const source = Deno.readTextFileSync(join(EXAMPLES, "echo_server.ts")).replaceAll("DefaultSelector", "AfdSelector");
    const folder = Deno.makeTempDirSync();
    cleanup.defer(() => Deno.removeSync(folder, { recursive: true }));
    const path = join(folder, "echo_server_on_afd.ts");
    Deno.writeTextFileSync(path, source);
    const config = `--config=${join(ROOT, "deno.json")}`;
    const args = ["run", "--no-prompt", "--allow-ffi", "--no-lock", config, path, "--port", "0", "--quiet"];
    await using server = new Program(Deno.execPath(), args, { cwd: ROOT });
    const [port] = await server.line(/^Listening on 127\.0\.0\.1 port (\d+)/);
    const address: InetAddress = { hostname: "127.0.0.1", port: Number(port) };
    const clients = Array.from({ length: 1_000 }, () => {
      const client = cleanup.add(new Socket());
      client.connect(address);
      return client;
    });
    const selector = cleanup.add(new AfdSelector<number, Socket>());
    for (const [index, client] of clients.entries()) selector.register(client, EVENT_READ, index);
    for (let round = 0; round < 3; round++) {
      for (const [index, client] of clients.entries()) client.sendAll(bytes(`round ${round}, client ${index};`));
      const waiting = new Set(clients);
      while (waiting.size > 0) {
        const ready = round === 1 ? await selector.selectAsync(4 * SOON) : selector.select(4 * SOON);
        assert(ready.length > 0, `${waiting.size} clients got no answer`);
        for (const [{ fileobj, data }] of ready) {
          const expected = bytes(`round ${round}, client ${data};`);
          assertEquals(received(fileobj, expected.length), expected);
          waiting.delete(fileobj);
        }
      }
    }
    assertThrows(() => clients[0]!.connect(address), OSError); // fails because the client is still connected
  });
});
