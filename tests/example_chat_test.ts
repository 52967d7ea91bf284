/**
 * The example `chat_server`, with up to a thousand clients.
 *
 * @module
 */

import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { os } from "../ffi/os/systems.ts";
import { SO_LINGER, SO_RCVBUF, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { CTRL_C } from "./support/needs.ts";
import { describeProgram, interrupt, memoryOf, Program } from "./support/program.ts";
import { bytes, descriptorLimit, isEmulated, isWindows, RESET_ON_CLOSE, test, text } from "./support/util.ts";

type ChatServer = Program & { port: number };

async function chatServer(): Promise<ChatServer> {
  const program = Program.example("chat_server.ts", "0");
  const [port] = await program.line(/^Chatting on port (\d+); try, .*: nc 127\.0\.0\.1 \1$/);
  return Object.assign(program, { port: Number(port) });
}

/** A chat client. It reads line by line, and blocks this process, but not the server, while it reads. */
class Guest implements Disposable {
  readonly socket = new Socket();
  #rest = "";

  constructor(server: ChatServer, name: string, room?: number) {
    if (room !== undefined) this.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, room);
    this.socket.connect({ hostname: "127.0.0.1", port: server.port });
    assertEquals(this.line(), "What is your name?");
    this.say(name);
    assertMatch(this.line() ?? "", new RegExp(`^\\* ${name} joined; guests here: \\d+$`));
  }

  say(line: string): void {
    this.socket.sendAll(bytes(`${line}\n`));
  }

  line(): string | null {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end !== -1) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const chunk = this.socket.recv(65_536);
      if (chunk.length === 0) return null;
      this.#rest += text(chunk);
    }
  }

  /** Reads lines until one matches. */
  until(expected: string): void {
    for (let line; (line = this.line()) !== expected;) if (line === null) throw new Error(`Never heard: ${expected}`);
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

/** Number of clients; an emulator is too slow for a thousand. */
const CROWD = isWindows || isEmulated ? 50 : 1000;

describeProgram("chat_server", () => {
  test("chat_server passes lines on to all other guests, without control characters", async () => {
    await using server = await chatServer();
    using ann = new Guest(server, "Ann");
    using bob = new Guest(server, "Bob");
    assertEquals(ann.line(), "* Bob joined; guests here: 2");
    ann.say("hello");
    assertEquals(bob.line(), "Ann: hello");
    for (const byte of bytes("grüße\r\n\n \n")) bob.socket.send(new Uint8Array([byte]));
    bob.say("\x1b[2Jboo\x07");
    assertEquals([ann.line(), ann.line()], ["Bob: grüße", "Bob: [2Jboo"]);
    bob[Symbol.dispose]();
    assertEquals(ann.line(), "* Bob left");
    ann.say("x".repeat(10_000));
    ann.socket.send(new Uint8Array(5000).fill(0x78));
    assertEquals(ann.line(), null);
  });

  test("chat_server announces a reset connection, unless the guest has not given a name", async () => {
    await using server = await chatServer();
    using ann = new Guest(server, "Ann");
    const bob = new Guest(server, "Bob");
    assertEquals(ann.line(), "* Bob joined; guests here: 2");
    using nameless = new Socket();
    nameless.connect({ hostname: "127.0.0.1", port: server.port });
    nameless.recv(100);
    for (const socket of [nameless, bob.socket]) {
      socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
      socket.close();
    }
    assertEquals(ann.line(), "* Bob was lost (ECONNRESET)");
  });

  test("chat_server passes on 30,000 lines at once within seconds", async () => {
    await using server = await chatServer();
    using ann = new Guest(server, "Ann");
    const others = Array.from({ length: 50 }, (_, index) => new Guest(server, `guest${index}`));
    ann.socket.sendAll(bytes("a\n".repeat(30_000)));
    const start = performance.now();
    ann.say("the end");
    for (const other of others) other.until("Ann: the end");
    assertLess(performance.now() - start, 10_000);
    for (const other of others) other[Symbol.dispose]();
  });

  test("chat_server closes its connections and exits on Ctrl-C", { needs: [CTRL_C] }, async () => {
    await using server = await chatServer();
    using ann = new Guest(server, "Ann");
    await interrupt(server);
    assertEquals(ann.line(), null);
  });

  test(`chat_server serves ${CROWD} guests, and slow ones do not delay the others`, async () => {
    await using server = await chatServer();
    const count = Math.min(CROWD, descriptorLimit() - 200);
    using ann = new Guest(server, "Ann");
    using bob = new Guest(server, "Bob");
    const crowd = Array.from({ length: count - 12 }, () => {
      const socket = new Socket();
      socket.connect({ hostname: "127.0.0.1", port: server.port });
      return socket;
    });
    // These clients stop reading.
    const slow = Array.from({ length: 10 }, (_, index) => new Guest(server, `slow${index}`, 4096));
    const before = os === "linux" ? memoryOf(server.pid) : 0;
    for (const guest of [ann, bob]) guest.until(`* slow9 joined; guests here: ${count}`);
    const line = "x".repeat(4000);
    const buffer = new Uint8Array(65_536);
    let gone = 0;
    for (let round = 0; gone < slow.length; round++) {
      assertLess(round, 20_000);
      ann.say(`${round} ${line}`);
      for (let heard; (heard = bob.line()) !== `Ann: ${round} ${line}`;) {
        if (/^\* slow\d was disconnected: too slow$/.test(heard!)) gone++;
        else assertEquals(heard, `Ann: ${round} ${line}`);
      }
      for (const socket of crowd) socket.recvInto(buffer);
    }
    if (os === "linux") assertLess(memoryOf(server.pid) - before, 64 << 20);
    bob.say("are we alone?");
    ann.until("Bob: are we alone?");
    for (const socket of [...slow.map(({ socket }) => socket), ...crowd]) socket.close();
  });
});
