/**
 * The example servers when the kernel runs out of resources. A failure may close one connection, but must not stop the
 * server.
 *
 * `tests/support/example_faults.ts` makes the calls fail in the server's process. The tests do not lower the real
 * limit, fs.epoll.max_user_watches, because all programs of a user share it.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { join } from "@std/path";
import { os } from "../ffi/os/systems.ts";
import type { Fault } from "./support/example_faults.ts";
import { describeProgram, descriptorsOf, EXAMPLES, Program, until } from "./support/program.ts";
import { testNeeding } from "./support/util.ts";

/** A message of a client, and a part of the reply. Each character stands for one byte. */
type Exchange = readonly [sent: string, answer: string];

/** An example, and the messages that its clients exchange with it. */
interface Server {
  example: string;
  /** The arguments of the example; by default, only the port 0. */
  args?: string[];
  /** The first exchange on a connection. */
  hello: Exchange;
  /** Returns a later exchange with a given word; undefined if the server closes each connection after the first. */
  again?: (word: string) => Exchange;
  /** The call that makes the server wait until a connection is writable; undefined if the server never does. */
  waits?: Fault;
  /** The call to fail when the server resumes accepting after a pause; by default, a registration. */
  resumes?: Fault;
}

const echo = (word: string): Exchange => [word, word];

const UPGRADE = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** Returns a text frame with a mask of zeros. */
function frame(text: string): string {
  return `\x81${String.fromCharCode(0x80 | text.length)}\0\0\0\0${text}`;
}

/** Placeholder for the port of an echo server in the arguments. */
const TARGET = "target";

const SERVERS: readonly Server[] = [
  {
    example: "chat_server",
    hello: ["", "What is your name?"],
    again: (name) => [`${name}\n`, `${name} joined`],
    waits: "modify",
  },
  {
    example: "echo_server",
    args: ["--port", "0"],
    hello: echo("hello"),
    again: echo,
    waits: "modify",
  },
  {
    example: "epoll_edge_server", // always registered for both events
    hello: echo("hello"),
    again: echo,
    resumes: "modify",
  },
  {
    example: "gave_up", // closes a connection that is not writable
    args: ["0", "0.05"],
    hello: ["hello", 'The answer to "hello"'],
    again: (word) => [word, `The answer to "${word}"`],
  },
  {
    example: "http_server",
    hello: ["GET / HTTP/1.1\r\n\r\n", "200 OK"],
    again: (word) => [`GET /${word} HTTP/1.1\r\n\r\n`, `GET /${word} with 0 bytes`],
    waits: "modify",
  },
  {
    example: "reuse_port",
    args: ["0", "1"],
    hello: ["", "You are served by worker 1"],
    again: echo,
    waits: "modify",
  },
  {
    example: "side_by_side", // registers only its listener
    hello: ["", "You are visitor"],
  },
  {
    example: "slow_handler", // closes a connection that is not writable
    args: ["0", "0.05"],
    hello: echo("hello"),
    again: echo,
  },
  {
    example: "tasks", // unregisters after each wait
    hello: echo("hello"),
    again: echo,
    waits: "register",
  },
  {
    example: "tcp_proxy",
    args: ["0", "127.0.0.1", TARGET],
    hello: echo("hello"),
    again: echo,
    waits: "modify",
  },
  {
    example: "websocket_server",
    hello: [UPGRADE, "101 Switching Protocols"],
    again: (word) => [frame(word), word],
    waits: "modify",
  },
];

/** A running server whose calls can be made to fail. */
class Started implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #program: Program;
  readonly #directory: string;
  readonly #port: number;

  private constructor(stack: AsyncDisposableStack, program: Program, directory: string, port: number) {
    this.#stack = stack;
    this.#program = program;
    this.#directory = directory;
    this.#port = port;
  }

  static async start({ example, args = ["0"] }: Pick<Server, "example" | "args">): Promise<Started> {
    await using stack = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir();
    stack.defer(() => Deno.remove(directory, { recursive: true }));
    const faults = new URL(`support/example_faults.ts?${encodeURIComponent(directory)}`, import.meta.url).href;
    const flags = ["run", "--no-prompt", "--allow-all", "--preload", faults, join(EXAMPLES, `${example}.ts`)];
    const words = [...args];
    if (args.includes(TARGET)) {
      const target = stack.use(Program.example("echo_server.ts", "--port", "0", "--quiet"));
      words[args.indexOf(TARGET)] = (await target.line(/ port (\d+);/))[0]!;
    }
    const program = stack.use(new Program(Deno.execPath(), [...flags, ...words], { stdin: "piped" }));
    const [port] = await program.line(/.*(?:port|127\.0\.0\.1) (\d+)/);
    return new Started(stack.move(), program, directory, Number(port));
  }

  /** Makes the next calls fail. */
  fail(fault: Fault, times = 1): void {
    const path = join(this.#directory, fault);
    Deno.writeTextFileSync(`${path}.new`, String(times));
    Deno.renameSync(`${path}.new`, path); // atomic, so that the server never reads a partial file
  }

  /** Stops the failures of a call, and returns how many were left. */
  heal(fault: Fault): number {
    const path = join(this.#directory, fault);
    try {
      const left = Number(Deno.readTextFileSync(path));
      Deno.removeSync(path);
      return left;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw error;
    }
  }

  /** Connects a client. */
  connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ hostname: "127.0.0.1", port: this.#port });
  }

  /** Waits until the server has this many descriptors open. */
  async has(descriptors: number): Promise<void> {
    await until(() => descriptorsOf(this.#program.pid) === descriptors);
  }

  /**
   * Connects and disconnects a client. The server has then handled everything that earlier clients sent.
   *
   * @returns The number of the server's open descriptors
   */
  async settle({ hello }: Server): Promise<number> {
    const descriptors = descriptorsOf(this.#program.pid);
    const client = await this.connect();
    await talk(client, hello);
    client.close();
    await this.has(descriptors);
    return descriptors;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Reads once, and throws after a long time without data. */
async function read(connection: Deno.TcpConn, buffer: Uint8Array): Promise<number | null> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("The server neither answers nor closes the connection")), 20_000);
  try {
    return await Promise.race([connection.read(buffer), promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function send(connection: Deno.TcpConn, words: string): Promise<void> {
  const data = Uint8Array.from(words, (character) => character.charCodeAt(0));
  assertEquals(await connection.write(data), data.length);
}

/** Sends a message, and reads until the reply is complete. */
async function talk(connection: Deno.TcpConn, [sent, answer]: Exchange): Promise<void> {
  await send(connection, sent);
  const buffer = new Uint8Array(4096);
  for (let heard = ""; !heard.includes(answer);) {
    const count = await read(connection, buffer);
    assert(count !== null, `The server closed the connection after ${JSON.stringify(heard)}`);
    heard += String.fromCharCode(...buffer.subarray(0, count));
  }
}

/** Reads until the server closes or resets the connection, which may happen during connect(). */
async function untilClosed(connecting: Deno.TcpConn | Promise<Deno.TcpConn>): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    using connection = await connecting;
    while (await read(connection, buffer) !== null);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
}

const testOnLinux = testNeeding(os === "linux" ? null : "the simulated failures are of Linux calls");

describeProgram("an example server in a system without room", () => {
  for (const server of SERVERS) {
    const { example, hello, again, waits, resumes = "register" } = server;

    if (again !== undefined) {
      testOnLinux(`${example} closes a connection that it cannot register, and serves the others`, async () => {
        await using started = await Started.start(server);
        using witness = await started.connect();
        await talk(witness, hello);
        const descriptors = await started.settle(server);
        started.fail("register");
        await untilClosed(started.connect());
        assertEquals(started.heal("register"), 0);
        await talk(witness, again("witness"));
        using later = await started.connect();
        await talk(later, hello);
        later.close();
        await started.has(descriptors);
      });
    }

    if (again !== undefined && waits !== undefined) {
      testOnLinux(`${example} closes a connection if ${waits}() fails, and serves the others`, async () => {
        await using started = await Started.start(server);
        using victim = await started.connect();
        await talk(victim, hello);
        const descriptors = await started.settle(server);
        using witness = await started.connect();
        await talk(witness, hello);
        await started.settle(server);
        started.fail("send"); // the server has to wait until the connection is writable
        started.fail(waits);
        await send(victim, again("victim")[0]);
        await untilClosed(victim);
        assertEquals([started.heal("send"), started.heal(waits)], [0, 0]);
        await talk(witness, again("witness"));
        using later = await started.connect();
        await talk(later, hello);
        later.close();
        await started.has(descriptors);
      });
    }

    testOnLinux(`${example} resumes accepting after a pause, and pauses again if ${resumes}() fails`, async () => {
      await using started = await Started.start(server);
      using witness = await started.connect();
      await talk(witness, hello);
      if (again === undefined) await untilClosed(witness);
      const descriptors = await started.settle(server);
      const start = performance.now();
      started.fail("accept");
      started.fail(resumes, 2);
      using waiting = await started.connect(); // stays in the listener's backlog
      await talk(waiting, hello);
      const failures = 2 - started.heal(resumes);
      assertEquals(started.heal("accept"), 0);
      assertGreaterOrEqual(performance.now() - start, 1000 * (1 + failures));
      if (again !== undefined) await talk(witness, again("witness"));
      using later = await started.connect();
      await talk(later, hello);
      waiting.close();
      later.close();
      await started.has(descriptors);
    });
  }

  testOnLinux("handover continues if node:net cannot adopt a connection", async () => {
    await using started = await Started.start({ example: "handover" });
    started.fail("lose");
    using lost = await started.connect();
    await untilClosed(lost);
    using later = await started.connect();
    await talk(later, ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "served by node:http"]);
  });
});
