/**
 * The examples that wait for descriptors other than TCP connections: named pipes, terminals, standard input, datagram
 * sockets, and sockets that come from or are passed to another program.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { AF_INET, createServer, SOCK_DGRAM, Socket } from "../ffi/socket/mod.ts";
import { os } from "../ffi/os/systems.ts";
import {
  deno,
  describeProgram,
  echoed,
  EXAMPLES,
  HttpClient,
  interrupt,
  isThere,
  Program,
  run,
  until,
} from "./support/program.ts";
import { CTRL_C, PROC } from "./support/needs.ts";
import { bytes, Cleanup, fifo, isWindows, test, text } from "./support/util.ts";

const [hasSocat, hasPython, hasActivate, hasScript] = await Promise.all([
  isThere("socat", "-V"),
  isThere("python3", "--version"),
  isThere("systemd-socket-activate", "--version"),
  isThere("script", "--version"),
]);

const ONLY_SOCKETS = isWindows ? "on Windows only sockets can be waited for" : null;

/** Returns the arguments for Deno to start an example with these permissions. */
function command(example: string, flags: string[], ...args: string[]): string[] {
  return ["run", "--no-prompt", ...flags, join(EXAMPLES, example), ...args];
}

/** Reads from a connection until it ends. */
function wholeOf(port: number): string {
  using socket = new Socket();
  socket.connect({ hostname: "127.0.0.1", port });
  let whole = "";
  for (let chunk; (chunk = socket.recv(1024)).length > 0;) whole += text(chunk);
  return whole;
}

describeProgram("tail_fifo", () => {
  test("tail_fifo prints the lines of successive writers", { needs: [ONLY_SOCKETS] }, async () => {
    using cleanup = new Cleanup();
    const READ_WRITE = 2;
    const [one] = fifo(cleanup, READ_WRITE);
    const [two] = fifo(cleanup, READ_WRITE);
    const flags = ["--allow-ffi", "--allow-read", "--allow-write"];
    await using program = new Program(Deno.execPath(), command("tail_fifo.ts", flags, one, two));
    await program.line(/^Reading; try: echo hello > \//);
    for (
      const [path, written, lines] of [
        [one, "hello\n", ["hello"]],
        [two, "a\nb\ngr\xc3", ["a", "b"]],
        [one, "again\n", ["again"]],
        [two, "\xbcn\n", ["grün"]],
      ] as const
    ) {
      await Deno.writeFile(path, Uint8Array.from(written, (character) => character.charCodeAt(0)));
      for (const line of lines) await program.line(new RegExp(`^${path}: ${line}$`));
    }
  });
});

describeProgram("serial", () => {
  const reason = ONLY_SOCKETS ?? (hasSocat ? null : "socat, which connects two terminals, is not installed");

  test(
    "serial forwards data in both directions, and reports a disconnected line",
    { needs: [reason] },
    async () => {
      const directory = await Deno.makeTempDir();
      const [here, there] = [join(directory, "here"), join(directory, "there")];
      {
        await using socat = new Program("sh", [
          "-c",
          'exec socat -d -d "pty,raw,echo=0,link=$0" "pty,raw,echo=0,link=$1" 2>&1',
          here,
          there,
        ]);
        await socat.line(/starting data transfer loop/);
        using device = await Deno.open(there, { read: true, write: true });
        await using terminal = new Program(Deno.execPath(), command("serial.ts", ["--allow-all"], here), {
          stdin: "piped",
        });
        await terminal.line(/^Connected to /);
        await device.write(bytes("from the device\n"));
        await terminal.line(/^from the device$/);
        await terminal.type("from the terminal\n");
        const buffer = new Uint8Array(100);
        let received = "";
        while (!received.endsWith("\n")) received += text(buffer.subarray(0, (await device.read(buffer))!));
        assertEquals(received, "from the terminal\n");
        socat.kill("SIGTERM");
        await terminal.line(/^The line is gone: read .*\(EIO\)$/);
        assertEquals((await terminal.ended()).code, 1);
      }
      await Deno.remove(directory, { recursive: true });
    },
  );

  test("serial sends all of its input before it exits", { needs: [reason] }, async () => {
    const directory = await Deno.makeTempDir();
    const [here, there] = [join(directory, "here"), join(directory, "there")];
    {
      await using socat = new Program("sh", [
        "-c",
        'exec socat -d -d -u "pty,raw,echo=0,link=$0" "create:$1" 2>&1',
        here,
        there,
      ]);
      await socat.line(/starting data transfer loop/);
      await using terminal = new Program(Deno.execPath(), command("serial.ts", ["--allow-all"], here), {
        stdin: "piped",
      });
      await terminal.line(/^Connected to /);
      const typed = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`).join("");
      await terminal.type(typed);
      await terminal.endInput();
      assertEquals(await terminal.ended(), { code: 0, signal: null });
      await until(() => Deno.readTextFileSync(there).length >= typed.length);
      assertEquals(await Deno.readTextFile(there), typed);
    }
    await Deno.remove(directory, { recursive: true });
  });
});

describeProgram("stdin_timeout", () => {
  const args = command("stdin_timeout.ts", ["--allow-ffi"]);

  test("stdin_timeout prints a greeting for an answer from a pipe, and exits after the timeout", {
    needs: [ONLY_SOCKETS],
  }, async () => {
    const started = () => new Program(Deno.execPath(), args, { stdin: "piped" });
    await using answered = started();
    await using partial = started();
    await using ended = started();
    await using silent = started();
    const start = performance.now();
    await answered.type("Ann\n");
    await answered.line(/ Hello, Ann!$/);
    assertEquals((await answered.ended()).code, 0);
    await partial.type("Bo");
    await partial.type("b"); // without a newline
    await partial.endInput();
    await partial.line(/ Hello, Bob!$/);
    await ended.endInput();
    await ended.line(/ No answer\.$/);
    await silent.type("Car"); // without a newline or the end of the input
    await silent.line(/^Too late\.$/);
    assertEquals((await silent.ended()).code, 1);
    assertGreaterOrEqual(performance.now() - start, 5000);
  });

  test("stdin_timeout reads a file and /dev/null", { needs: [ONLY_SOCKETS] }, async () => {
    const path = await Deno.makeTempFile();
    for (const [content, line] of [["Ann\nBob\n", "Hello, Ann!"], ["Ann", "Hello, Ann!"], ["", "No answer."]]) {
      await Deno.writeTextFile(path, content!);
      const { code, out, error } = await run("sh", "-c", 'exec "$@" < "$0"', path, Deno.execPath(), ...args);
      assertEquals([code, out, error], [0, `What is your name? You have 5 seconds. ${line}\n`, ""]);
    }
    await Deno.remove(path);
    const { code, out, error } = await run(Deno.execPath(), ...args); // standard input is /dev/null
    assertEquals([code, out, error], [0, "What is your name? You have 5 seconds. No answer.\n", ""]);
  });

  const terminal = ONLY_SOCKETS ?? (hasScript ? null : "script(1) of util-linux is not installed");
  test("stdin_timeout reads a line or the end of the input from a terminal", { needs: [terminal] }, async () => {
    const words = [Deno.execPath(), ...args].map((word) => `'${word}'`).join(" ");
    for (const [typed, line] of [["Ann\n", /Hello, Ann!$/], ["\x04", /No answer\.$/]] as const) {
      await using program = new Program("script", ["-qec", `test -t 0 && exec ${words}`, "/dev/null"], {
        stdin: "piped",
      });
      await program.type(typed);
      await program.line(line);
      assertEquals(await program.ended(), { code: 0, signal: null });
    }
  });
});

describeProgram("socket_activation", () => {
  const example = join(EXAMPLES, "socket_activation.ts");
  const args = ["run", "--no-prompt", "--allow-ffi", "--allow-env=LISTEN_FDS,LISTEN_PID", example];

  test("socket_activation without sockets prints a command to try", async () => {
    const { code, error } = await run(Deno.execPath(), ...args);
    assertEquals(code, 1);
    assertMatch(error, /^socket_activation: no sockets were passed; try: systemd-socket-activate -l 8004 deno run/);
  });

  const parent = ONLY_SOCKETS ?? (hasPython ? null : "python3, which starts the example, is not installed");
  test("socket_activation serves the sockets passed as descriptors 3 and 4, until Ctrl-C", {
    needs: [parent],
  }, async () => {
    const script = `
import os, socket, sys
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(listener.getsockname()[1] for listener in listeners), flush=True)
for number, listener in enumerate(listeners): os.dup2(listener.fileno(), 10 + number)
for number in range(2): os.dup2(10 + number, 3 + number)
os.environ |= {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[1], sys.argv[1:])`;
    await using program = new Program("python3", ["-c", script, Deno.execPath(), ...args]);
    const ports = await program.line(/^(\d+) (\d+)$/);
    for (const port of [...ports, ...ports]) {
      assertMatch(wholeOf(Number(port)), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n$/);
    }
    assertEquals(ports.length, 2);
    await interrupt(program);
  });

  const activate = ONLY_SOCKETS ?? (hasActivate ? null : "systemd-socket-activate is not installed");
  test(
    "socket_activation starts on the first connection to systemd-socket-activate",
    { needs: [activate] },
    async () => {
      using free = createServer({ hostname: "127.0.0.1", port: 0 });
      const { port } = free.getsockname() as { port: number };
      free.close();
      const words = [
        "-c",
        'exec "$@" 2>&1',
        "sh",
        "systemd-socket-activate",
        "-l",
        `127.0.0.1:${port}`,
        Deno.execPath(),
      ];
      await using program = new Program("sh", [...words, ...args]);
      await program.line(/^Listening on 127\.0\.0\.1:\d+ as 3\.$/);
      for (let round = 0; round < 3; round++) assertMatch(wholeOf(port), /^\d{4}-.*Z\n$/);
    },
  );
});

describeProgram("udp_ping", () => {
  test("udp_ping receives its echo from its own server", async () => {
    await using server = Program.example("udp_ping.ts", "serve", "0");
    const [port] = await server.line(/^Echoing datagrams on port (\d+); try: nc -u 127\.0\.0\.1 \1$/);
    using socket = new Socket(AF_INET, SOCK_DGRAM);
    for (const length of [1, 0, 1400]) {
      socket.sendTo(new Uint8Array(length), { hostname: "127.0.0.1", port: Number(port) });
      assertEquals(socket.recvFrom(2000)[0].length, length);
    }
    const { code, out, error } = await deno("udp_ping.ts", "127.0.0.1", port!, "2");
    assertEquals([code, error], [0, ""]);
    assertMatch(out, /^ping 1: \d+\.\d{3} ms\nping 2: \d+\.\d{3} ms\n2 of 2 came back\n$/);
  });

  test("udp_ping exits on Ctrl-C, as a server and as a client", { needs: [CTRL_C] }, async () => {
    await using server = Program.example("udp_ping.ts", "serve", "0");
    const [port] = await server.line(/^Echoing datagrams on port (\d+)/);
    await using client = Program.example("udp_ping.ts", "127.0.0.1", port!, "1000000");
    await client.line(/^ping 1: /);
    client.kill("SIGINT");
    await client.line(/^1 of 1000000 came back$/);
    assertEquals(await client.ended(), { code: 0, signal: null });
    await interrupt(server);
  });

  test("udp_ping distinguishes replies, late replies and unreachable ports", async () => {
    using peer = new Socket(AF_INET, SOCK_DGRAM);
    peer.bind({ hostname: "127.0.0.1", port: 0 });
    const { port } = peer.getsockname() as { port: number };
    await using program = Program.example("udp_ping.ts", "127.0.0.1", String(port), "2");
    const [first, address] = peer.recvFrom(100);
    assertEquals(text(first), "ping 1");
    const [second] = peer.recvFrom(100);
    peer.sendTo(first, address);
    await program.line(/^ping 1: late$/);
    peer.sendTo(second, address);
    await program.line(/^ping 2: \d+\.\d{3} ms$/);
    await program.line(/^2 of 2 came back$/);
    peer.close();
    const nobody = await deno("udp_ping.ts", "127.0.0.1", String(port), "1");
    assertEquals(nobody.code, 1);
    assertMatch(nobody.out, /^(recv fd \d+: .*\((ECONNREFUSED|ECONNRESET)\)\n)?0 of 1 came back\n$/);
  });
});

describeProgram("pass_connections", () => {
  const needs = [isWindows ? "Windows cannot send descriptors to another process" : CTRL_C];
  const flags = ["--allow-ffi", "--allow-run", "--allow-env"];

  /** Returns a connection, and the name of the process that serves it. */
  async function greeted(port: string): Promise<[connection: Deno.Conn, pid: number]> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    const buffer = new Uint8Array(100);
    const greeting = text(buffer.subarray(0, (await connection.read(buffer))!));
    return [connection, Number(/^You are served by process (\d+)\n$/.exec(greeting)![1])];
  }

  test("pass_connections passes connections to its children in turn, and exits on Ctrl-C", {
    needs,
  }, async () => {
    await using program = new Program(Deno.execPath(), command("pass_connections.ts", flags, "0", "2"));
    const [port] = await program.line(/^2 processes serve port (\d+); try, more than once: nc 127\.0\.0\.1 \1$/);
    const greetings: [Deno.Conn, number][] = [];
    for (let index = 0; index < 6; index++) greetings.push(await greeted(port!));
    const pids = greetings.map(([, pid]) => pid);
    assertEquals(new Set(pids).size, 2);
    assertEquals(pids, [0, 1, 0, 1, 0, 1].map((index) => pids[index]!));
    assertEquals(pids.includes(program.pid), false);
    const long = "x".repeat(3_000_000);
    for (const [index, [connection]] of greetings.entries()) {
      assertEquals(await echoed(connection, `message ${index}`), `message ${index}`);
    }
    const [[first]] = greetings as [[Deno.Conn, number]];
    const [, back] = await Promise.all([writeAll(first, bytes(long)), readExactly(first, long.length)]);
    assertEquals(text(back), long);
    await interrupt(program);
    for (const [connection] of greetings) {
      assertEquals(await connection.read(new Uint8Array(1)), null);
      connection.close();
    }
  });

  test("pass_connections keeps serving after a child has ended", { needs: [...needs, PROC] }, async () => {
    await using program = new Program(Deno.execPath(), command("pass_connections.ts", flags, "0", "2"));
    const [port] = await program.line(/^2 processes serve port (\d+)/);
    const [[one, killed], [other, alive]] = [await greeted(port!), await greeted(port!)];
    Deno.kill(killed, "SIGKILL");
    assertEquals(await one.read(new Uint8Array(1)), null);
    await until(() => !pathExists(`/proc/${killed}`)); // its end of the socket pair is closed too
    const [third, pid] = await greeted(port!); // it was the turn of the killed child
    await program.line(/^sendmsg fd \d+: Broken pipe \(EPIPE\)$/);
    assertEquals(pid, alive);
    Deno.kill(alive, "SIGKILL");
    await until(() => !pathExists(`/proc/${alive}`));
    using last = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await program.line(/^All children have ended$/);
    assertEquals((await program.ended()).code, 1);
    for (const connection of [one, other, third]) connection.close();
    assertEquals(await last.read(new Uint8Array(1)), null);
  });
});

function pathExists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes all of the bytes to a connection. */
async function writeAll(connection: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await connection.write(data.subarray(sent));
}

/** Reads the given number of bytes from a connection. */
async function readExactly(connection: Deno.Conn, size: number): Promise<Uint8Array> {
  const data = new Uint8Array(size);
  for (let count = 0; count < size;) count += (await connection.read(data.subarray(count)))!;
  return data;
}

describeProgram("reuse_port", () => {
  const reason = os === "linux" ? null : "this kernel does not distribute connections among sockets of one port";

  test("reuse_port distributes connections among its workers, and exits on Ctrl-C", {
    needs: [reason],
  }, async () => {
    const args = command("reuse_port.ts", ["--allow-ffi", "--allow-read"], "0", "3");
    await using program = new Program(Deno.execPath(), args);
    const [port] = await program.line(/^3 workers listen on port (\d+); try, more than once: nc 127\.0\.0\.1 \1$/);
    const names = new Map<string, number>();
    const connections = Array.from({ length: 60 }, () => {
      const socket = new Socket();
      socket.connect({ hostname: "127.0.0.1", port: Number(port) });
      return socket;
    });
    for (const socket of connections) {
      const [, name] = /^You are served by (worker [123])\n$/.exec(text(socket.recv(100)))!;
      names.set(name!, (names.get(name!) ?? 0) + 1);
    }
    assertEquals(names.size, 3); // by chance, it fails once in ten billion runs
    for (const [index, socket] of connections.entries()) socket.send(bytes(`hello ${index}`));
    for (const [index, socket] of connections.entries()) {
      assertEquals(text(socket.recv(100)), `hello ${index}`);
    }
    await interrupt(program);
    for (const socket of connections) {
      assertEquals(socket.recv(100).length, 0);
      socket.close();
    }
  });
});

describeProgram("handover", () => {
  const reason = isWindows ? "Node's sockets take no descriptor on Windows" : null;

  test("handover passes its connections to node:http, and exits on Ctrl-C", { needs: [reason] }, async () => {
    await using program = Program.example("handover.ts", "0");
    using http = new HttpClient();
    const [url] = await program.line(/^Listening on port \d+; try: curl (\S+)$/);
    for (let round = 0; round < 3; round++) {
      assertEquals(await (await http.fetch(`${url}a`)).text(), "GET /a, served by node:http\n");
      await program.line(/^Handed over: \{ hostname: "127\.0\.0\.1", port: \d+ \}$/);
    }
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, index) => {
      return await (await http.fetch(`${url}${index}`)).text();
    }));
    assertEquals(answers, answers.map((_, index) => `GET /${index}, served by node:http\n`));
    program.kill("SIGINT");
    await program.line(/^Ctrl-C: no more connections are accepted$/);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });
});
