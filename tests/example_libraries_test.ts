/**
 * The examples that wait for the descriptors of C libraries, each with a real server, and the README's programs: the
 * first one, and those of "With a C library".
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { after } from "@std/testing/bdd";
import { library, POSTGRES, Postgres } from "./support/libraries.ts";
import { LINUX, PROC } from "./support/needs.ts";
import {
  describeProgram,
  descriptorsOf,
  echoed,
  EXAMPLES,
  HttpClient,
  interrupt,
  isThere,
  OF_WAITING,
  Program,
  ROOT,
  run,
  until,
} from "./support/program.ts";
import { blocks, section } from "./support/readme.ts";
import { bytes, test } from "./support/util.ts";

const [hasBus, hasScreen, hasOpenssl, mayMount] = await Promise.all([
  isThere("dbus-daemon", "--version"),
  isThere("Xvfb", "-help"),
  isThere("openssl", "version"),
  isThere("unshare", "-m", "true"),
]);

/** Starts Deno, with its standard error redirected to its output. */
function start(args: string[], env: Record<string, string> = {}): Program {
  return new Program("sh", ["-c", 'exec "$@" 2>&1', "sh", Deno.execPath(), "run", "--no-prompt", ...args], {
    env: { NO_COLOR: "1", ...env },
  });
}

/** Returns the arguments for Deno to start an example. */
function command(example: string, flags: string[], ...args: string[]): string[] {
  return [...flags, join(EXAMPLES, example), ...args];
}

/** A temporary directory that is removed at the end. */
async function directory(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Stops a program while a function runs, so that the program receives everything at once when it continues. */
async function whileStopped(program: Program, action: () => Promise<void> | void): Promise<void> {
  program.kill("SIGSTOP");
  await action();
  program.kill("SIGCONT");
}

/** Kills a program after 30 seconds, so that a test that reads from it fails instead of hanging. */
function patience(program: Program): Disposable {
  const timer = setTimeout(() => program.kill("SIGKILL"), 30_000);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

const [inotify] = blocks("ts");
const [loop, libpq, terminal, priority, child, ...others] = blocks("ts", section("With a C library"));
const IMPORTS = `--import-map=${join(ROOT, "tests", "offline", "import_map.json")}`;

/** Starts an unmodified program of the README in a directory. */
async function printed(
  path: string,
  source: string | undefined,
  flags: string[],
  ...args: string[]
): Promise<Program> {
  const file = join(path, "main.ts");
  await Deno.writeTextFile(file, source!);
  return start(["--quiet", "--no-lock", IMPORTS, ...flags, file, ...args]);
}

const LIBPQ = POSTGRES ?? library("libpq.so.5");

describeProgram("postgres_notify, and README's program for PostgreSQL", () => {
  let postgres: Promise<Postgres> | null = null;
  after(async () => await (await postgres)?.[Symbol.asyncDispose]());

  /** Returns the server. The first test that needs it starts it. */
  function server(): Promise<Postgres> {
    return postgres ??= Postgres.start();
  }

  const FLAGS = ["--allow-ffi", "--allow-net=127.0.0.1"];

  test(
    "postgres_notify streams notifications from HTTP and from psql, and reports errors",
    { needs: [LIBPQ] },
    async () => {
      const database = await server();
      await using program = start(command("postgres_notify.ts", FLAGS, database.connectionString, "0"));
      using _patience = patience(program);
      using http = new HttpClient();
      const [url] = await program.line(/^Listening; try: curl -N (\S+)$/);
      const post = async (body: string) => {
        const response = await http.fetch(url!, { method: "POST", body });
        return [response.status, await response.text()];
      };
      const streams = await Promise.all([1, 2].map(async () => {
        const { body, headers } = await http.fetch(url!);
        assertEquals(headers.get("content-type"), "text/event-stream");
        return body!.pipeThrough(new TextDecoderStream()).getReader();
      }));
      const readEvents = async (stream: typeof streams[number], length: number) => {
        let received = "";
        while (received.length < length) received += (await stream.read()).value!;
        return received;
      };
      const assertEvents = async (expected: string) => {
        for (const stream of streams) assertEquals(await readEvents(stream, expected.length), expected);
      };

      assertEquals(await post("hello"), [200, "Sent\n"]);
      await assertEvents("data: hello\n\n");
      await database.query("NOTIFY news, 'it''s psql'");
      await assertEvents("data: it's psql\n\n");
      assertEquals(await post("two\r\nlines; it's \\ grün"), [200, "Sent\n"]);
      await assertEvents("data: two\ndata: lines; it's \\ grün\n\n");
      // Larger than the socket's buffer, so that the query has to be flushed.
      const [status, message] = await post("x".repeat(20_000_000));
      assertEquals(status, 400);
      assertMatch(String(message), /payload string too long/);
      const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => post(`at once ${index}`)));
      assertEquals(answers, answers.map(() => [200, "Sent\n"]));
      {
        await using other = start(command("postgres_notify.ts", FLAGS, database.connectionString, "0"));
        await other.line(/^Listening/);
        await interrupt(other);
      }
      await streams[0]!.cancel();
      streams.shift();
      const expected = answers.map((_, index) => `data: at once ${index}\n\n`);
      const received = await readEvents(streams[0]!, expected.join("").length);
      // In any order, because each message has its own connection.
      assertEquals(received.match(/data: .*\n\n/g)!.sort(), expected);

      // One read of libpq returns all of these messages.
      const many = Array.from({ length: 50 }, (_, index) => index);
      await whileStopped(program, async () => {
        await database.query(many.map((index) => `NOTIFY news, '${index}'`).join(";"));
      });
      await assertEvents(many.map((index) => `data: ${index}\n\n`).join(""));

      await streams[0]!.cancel();
      await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'NOTIFY news, %'");
      await program.line(/^postgres_notify: /);
      assertEquals((await program.ended()).code, 1);
    },
  );

  test("postgres_notify exits with libpq's message if it cannot connect", { needs: [LIBPQ] }, async () => {
    await using program = start(command("postgres_notify.ts", FLAGS, "host=/nowhere"));
    await program.line(
      /^postgres_notify: connection to server on socket "\/nowhere\/.* failed: No such file or directory$/,
    );
    assertEquals((await program.ended()).code, 1);
  });

  test("README's program for PostgreSQL prints notifications", { needs: [LIBPQ] }, async () => {
    const database = await server();
    await using temporary = await directory();
    await using program = await printed(temporary.path, libpq, ["--allow-ffi"], database.connectionString);
    await program.line(/^Try: NOTIFY news, 'hello'$/);
    await database.query("NOTIFY news, 'hello'; NOTIFY news, 'again'");
    assertEquals(await program.line(/^(.*)$/), ["hello"]);
    assertEquals(await program.line(/^(.*)$/), ["again"]);
  });
});

describeProgram("curl_multi", () => {
  const LIBCURL = library("libcurl.so.4");

  test("curl_multi downloads 20 URLs at once, and reports errors and timeouts", { needs: [LIBCURL] }, async () => {
    const all = Promise.withResolvers<void>();
    const never = Promise.withResolvers<void>();
    let requests = 0;
    await using site = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async ({ url }) => {
      const path = new URL(url).pathname;
      if (path === "/never") await never.promise;
      if (++requests === 20) all.resolve();
      await all.promise; // answers only when every request has arrived
      await new Promise((resolve) => setTimeout(resolve, 200));
      return new Response(path === "/20" ? "x".repeat(3_000_000) : path);
    });
    using ends = new DisposableStack();
    for (const { resolve } of [all, never]) ends.defer(resolve); // otherwise the server would not shut down
    const base = `http://127.0.0.1:${site.addr.port}`;
    const urls = Array.from({ length: 20 }, (_, index) => `${base}/${index + 1}`);
    const env = { NO_PROXY: "*" };
    {
      await using program = start(command("curl_multi.ts", ["--allow-ffi"], "20", ...urls, "http://127.0.0.1:1/"), env);
      const expected = new Set([
        "http://127.0.0.1:1/: 0, 0 bytes, Couldn't connect to server",
        ...urls.map((url, index) => `${url}: 200, ${index === 19 ? 3_000_000 : new URL(url).pathname.length} bytes`),
      ]);
      while (expected.size > 0) {
        const [line] = await program.line(/^(http.*)$/);
        assert(expected.delete(line!), line);
      }
      const [ms] = await program.line(/^21 downloads in (\d+) ms$/);
      assertGreaterOrEqual(Number(ms), 200);
      assertEquals(await program.ended(), { code: 0, signal: null });
    }
    await using program = start(command("curl_multi.ts", ["--allow-ffi"], "0.3", `${base}/never`), env);
    await program.line(/\/never: 0, 0 bytes, Timeout was reached$/);
    const [ms] = await program.line(/^1 downloads in (\d+) ms$/);
    assertGreaterOrEqual(Number(ms), 300);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });
});

describeProgram("inotify", () => {
  const INOTIFY = LINUX ?? library("libc.so.6");

  test("inotify prints changes in order, and exits with the last directory", { needs: [INOTIFY] }, async () => {
    await using temporary = await directory();
    const [one, two] = [join(temporary.path, "one"), join(temporary.path, "two")];
    for (const path of [one, two]) await Deno.mkdir(path);
    await using program = start(command("inotify.ts", ["--allow-ffi"], one, two));
    const print = async (...lines: string[]) => {
      for (const line of lines) assertEquals(await program.line(/^(.*)$/), [line]);
    };
    await print(`Watching; try: date > ${one}/one`);
    await Deno.writeTextFile(`${one}/grün`, "hello");
    await print(`${one}/grün created`, `${one}/grün written`);
    await whileStopped(program, async () => {
      await Deno.rename(`${one}/grün`, `${two}/${"x".repeat(255)}`);
      await Deno.mkdir(`${two}/sub`);
    });
    const long = `${two}/${"x".repeat(255)}`;
    await print(`${one}/grün moved from`, `${long} moved to`, `${two}/sub/ created`);
    await Deno.remove(`${two}/sub`);
    await Deno.remove(long);
    await print(`${two}/sub/ deleted`, `${long} deleted`);
    await Deno.remove(two);
    await print(`${two} is no longer watched`);
    await Deno.remove(one);
    await print(`${one} is no longer watched`);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });

  test("inotify reports an overflow of the kernel's queue, and continues", { needs: [INOTIFY] }, async () => {
    await using temporary = await directory();
    const { path } = temporary;
    await using program = start(command("inotify.ts", ["--allow-ffi"], path));
    await program.line(/^Watching/);
    const limit = Number(await Deno.readTextFile("/proc/sys/fs/inotify/max_queued_events"));
    await whileStopped(program, () => {
      for (let index = 0; index <= limit; index++) Deno.writeTextFileSync(`${path}/${index % 2}`, "");
    });
    await program.line(/^Some changes were lost: the kernel's queue was full$/);
    await Deno.writeTextFile(`${path}/last`, "");
    await program.line(/\/last written$/);
    program.kill("SIGINT");
    assertEquals(await program.ended(), { code: 0, signal: null });
  });

  test("inotify reports a directory that it cannot watch", { needs: [INOTIFY] }, async () => {
    await using program = start(command("inotify.ts", ["--allow-ffi"], "/nowhere"));
    await program.line(/^inotify: cannot watch \/nowhere: /);
    assertEquals((await program.ended()).code, 1);
  });
});

describeProgram("dbus_listen", () => {
  const DBUS = library("libdbus-1.so.3") ?? (hasBus ? null : "dbus-daemon is not installed");

  test(
    "dbus_listen prints matching signals, reports an invalid rule, and exits when the bus closes",
    { needs: [DBUS] },
    async () => {
      const words = ["-c", "exec dbus-daemon --session --nofork --nopidfile --print-address=1 2>&1"];
      await using daemon = new Program("sh", words);
      const [address] = await daemon.line(/^(unix:\S+)$/);
      const env = { DBUS_SESSION_BUS_ADDRESS: address! };
      const rule = "type='signal',interface='org.example.Weather'";
      await using program = start(command("dbus_listen.ts", ["--allow-ffi"], rule), env);
      await program.line(/^Listening; try: dbus-send/);
      const send = async (path: string, name: string, ...values: string[]) => {
        await using sender = new Program("dbus-send", ["--type=signal", path, name, ...values], { env });
        assertEquals((await sender.ended()).code, 0);
      };
      await send(
        "/today",
        "org.example.Weather.Changed",
        "string:grün",
        "int32:-25",
        "double:2.5",
        "boolean:true",
        "array:byte:1",
      );
      await program.line(/^\/today org\.example\.Weather\.Changed "grün" -25 2\.5 true \(a\)$/);
      // One read of libdbus returns all of these signals.
      await whileStopped(program, async () => {
        await send("/one", "org.example.Weather.Changed");
        await send("/other", "org.example.Other.Changed");
        await send("/two", "org.example.Weather.Changed", "objpath:/a/b");
      });
      assertEquals(await program.line(/^(.*)$/), ["/one org.example.Weather.Changed"]);
      assertEquals(await program.line(/^(.*)$/), ['/two org.example.Weather.Changed "/a/b"']);
      {
        await using refused = start(command("dbus_listen.ts", ["--allow-ffi"], "nonsense"), env);
        await refused.line(/^dbus_listen: /);
        assertEquals((await refused.ended()).code, 1);
      }
      daemon.kill("SIGTERM");
      await daemon.ended();
      await program.line(/^dbus_listen: the bus has closed the connection$/);
      assertEquals((await program.ended()).code, 1);
    },
  );

  test("dbus_listen reports a missing bus", { needs: [DBUS] }, async () => {
    await using program = start(command("dbus_listen.ts", ["--allow-ffi"]), {
      DBUS_SESSION_BUS_ADDRESS: "unix:path=/nowhere",
    });
    await program.line(/^dbus_listen: Failed to connect to socket \/nowhere: /);
    assertEquals((await program.ended()).code, 1);
  });
});

describeProgram("x11_events", () => {
  const XVFB = library("libX11.so.6") ?? (hasScreen ? null : "Xvfb is not installed");

  /** Opens, moves and closes three windows in a single flush. */
  const CLIENT = `
    const { symbols: xlib } = Deno.dlopen("libX11.so.6", {
      XOpenDisplay: { parameters: ["pointer"], result: "pointer" },
      XDefaultRootWindow: { parameters: ["pointer"], result: "u64" },
      XCreateSimpleWindow: {
        parameters: ["pointer", "u64", "i32", "i32", "u32", "u32", "u32", "u64", "u64"],
        result: "u64",
      },
      XMapWindow: { parameters: ["pointer", "u64"], result: "i32" },
      XMoveWindow: { parameters: ["pointer", "u64", "i32", "i32"], result: "i32" },
      XDestroyWindow: { parameters: ["pointer", "u64"], result: "i32" },
      XCloseDisplay: { parameters: ["pointer"], result: "i32" },
    });
    const display = xlib.XOpenDisplay(null);
    for (let number = 1; number <= 3; number++) {
      const root = xlib.XDefaultRootWindow(display);
      const window = xlib.XCreateSimpleWindow(display, root, 10, 20, 100 * number, 50, 0, 0n, 0n);
      xlib.XMapWindow(display, window);
      xlib.XMoveWindow(display, window, -30, 40);
      xlib.XDestroyWindow(display, window);
    }
    xlib.XCloseDisplay(display);`;

  test("x11_events prints window events, and exits when the display closes", { needs: [XVFB] }, async () => {
    const words = ["-c", "exec Xvfb -displayfd 1 -nolisten tcp -screen 0 640x480x24 2>/dev/null"];
    await using screen = new Program("sh", words);
    const [number] = await screen.line(/^(\d+)$/);
    const env = { DISPLAY: `:${number}` };
    await using program = start(command("x11_events.ts", ["--allow-ffi"]), env);
    await program.line(/^Watching; try: xterm$/);
    for (let round = 0; round < 2; round++) {
      await using temporary = await directory();
      await Deno.writeTextFile(join(temporary.path, "client.ts"), CLIENT);
      await using client = start(["--no-check", "--allow-ffi", join(temporary.path, "client.ts")], env);
      assertEquals(await client.ended(), { code: 0, signal: null });
      for (const width of [100, 200, 300]) {
        const [window] = await program.line(new RegExp(`^window (0x[0-9a-f]+) created: ${width}x50 at 10,20$`));
        for (const what of ["shown", `moved or resized: ${width}x50 at -30,40`, "hidden", "destroyed"]) {
          assertEquals(await program.line(/^(.*)$/), [`window ${window} ${what}`]);
        }
      }
    }
    screen.kill("SIGTERM");
    await screen.ended();
    assertEquals((await program.ended()).code, 1);
  });

  test("x11_events reports a display that it cannot open", { needs: [XVFB] }, async () => {
    await using program = start(command("x11_events.ts", ["--allow-ffi"]), { DISPLAY: "nowhere" });
    await program.line(/^x11_events: cannot open the display; set DISPLAY$/);
    assertEquals((await program.ended()).code, 1);
  });
});

describeProgram("tls_echo", () => {
  const OPENSSL = PROC ?? (hasOpenssl ? null : "openssl, which makes the certificate, is not installed");

  test(
    "tls_echo echoes over TLS, and keeps serving after a client that does not speak TLS",
    { needs: [OPENSSL] },
    async () => {
      await using temporary = await directory();
      const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(temporary.path, name)) as [string, string];
      const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
      const kind = ["-newkey", "rsa:2048", "-nodes", "-addext", "basicConstraints=critical,CA:FALSE"];
      const made = await run("openssl", "req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert);
      assertEquals(made.code, 0, made.error);
      const flags = ["--allow-ffi", `--allow-read=${cert},${key}`];
      await using program = start(command("tls_echo.ts", flags, cert, key, "0"));
      using _patience = patience(program);
      const [port] = await program.line(/^Listening; try: openssl s_client -quiet -connect 127\.0\.0\.1:(\d+)$/);
      const address = { hostname: "localhost", port: Number(port) };
      const connect = () => Deno.connectTls({ ...address, caCerts: [Deno.readTextFileSync(cert)] });
      const before = descriptorsOf(program.pid);
      for (let round = 0; round <= OF_WAITING; round++) { // more rounds than descriptors, to detect a leak
        {
          using connection = await connect();
          assertEquals(await echoed(connection, "hello"), "hello");
          await program.line(/^A client uses TLSv1\.3$/);
        }
        using plain = await Deno.connect({ ...address, hostname: "127.0.0.1" });
        await plain.write(bytes("GET / HTTP/1.0\r\n\r\n"));
        await plain.read(new Uint8Array(1000)).catch(() => {});
        await program.line(/wrong version number|InvalidContentType/);
      }
      // Exceeds the buffers of all sockets and streams, so that each side has to wait for the other.
      await Promise.all([1, 2].map(async (number) => {
        using connection = await connect();
        const data = new Uint8Array(8_000_000).map((_, index) => index * number + (index >> 8));
        const writer = connection.writable.getWriter();
        const written = writer.write(data);
        await new Promise((resolve) => setTimeout(resolve, 50)); // the buffers fill up; no event reports it
        const reader = connection.readable.getReader();
        for (let received = 0; received < data.length;) {
          const { value } = await reader.read();
          assertEquals(value, data.subarray(received, received + value!.length));
          received += value!.length;
        }
        await written;
      }));
      await until(() => descriptorsOf(program.pid) <= before + OF_WAITING);
      await interrupt(program);
    },
  );
});

describeProgram("README, With a C library", () => {
  test("its programs have at most 30 lines, and the first programs at most 25", () => {
    assertEquals(others, []);
    for (const source of [inotify, loop]) assert(source!.split("\n").length <= 31);
    for (const source of [libpq, terminal, priority, child]) assert(source!.split("\n").length <= 26);
  });

  test("its programs pass the type check", async () => {
    await using temporary = await directory();
    const files = await Promise.all([inotify, loop, libpq, terminal, priority, child].map(async (source, index) => {
      const file = join(temporary.path, `${index}.ts`);
      await Deno.writeTextFile(file, source!);
      return file;
    }));
    const { code, error } = await run(Deno.execPath(), "check", "--quiet", "--no-lock", IMPORTS, ...files);
    assertEquals([code, error], [0, ""]);
  });

  test("its program for inotify prints new files", { needs: [library("libc.so.6")] }, async () => {
    await using temporary = await directory();
    await using program = await printed(temporary.path, inotify, ["--allow-ffi"], temporary.path);
    await program.line(/^Create a file in \//);
    for (const name of ["one", "two"]) {
      await Deno.writeTextFile(join(temporary.path, name), "");
      assertEquals(await program.line(/^(.*)$/), [name]);
    }
  });

  test(
    "its loop reads all messages, waits for EVENT_WRITE until everything is sent, and reports the timeout",
    { needs: [LINUX] },
    async () => {
      const library = `const messages = ["one", "two"];
      let turns = 0;
      const library = {
        nextMessage: (): string | null => messages.shift() ?? null,
        flush: () => turns > 0,
        fileno: () => 1,
        timeout: () => 0,
        process: (events: number) => {
          console.log("process", events);
          if (++turns === 3) Deno.exit();
          messages.push("three");
        },
      };`;
      const source = loop!.replace(/declare const library: \{[^]*?^\};/m, library);
      assert(source !== loop);
      await using temporary = await directory();
      await using program = await printed(temporary.path, source, ["--allow-ffi"]);
      // Standard output is this library's descriptor, and is always writable.
      for (const line of ["one", "two", "process 2", "three", "process 0"]) {
        assertEquals(await program.line(/^(.*)$/), [line]);
      }
    },
  );

  test("its program for a pseudoterminal runs a shell", { needs: [library("libc.so.6")] }, async () => {
    await using temporary = await directory();
    await using program = await printed(temporary.path, terminal, ["--allow-ffi", "--allow-env", "--allow-run=setsid"]);
    await program.line(/\/dev\/pts\/\d+$/);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });

  test("its program for EVENT_PRIORITY prints a mount", {
    needs: [LINUX ?? (mayMount ? null : "this user may not mount")],
  }, async () => {
    await using temporary = await directory();
    const [file, mounted] = [join(temporary.path, "main.ts"), join(temporary.path, "mounted")];
    await Deno.writeTextFile(file, priority!);
    await Deno.mkdir(mounted);
    // The program and a shell that executes commands share a new mount namespace.
    const script = 'exec 3<&0; (while read -r line; do $line; done) <&3 & exec "$@" </dev/null 2>&1';
    const args = ["run", "--quiet", "--no-lock", IMPORTS, "--allow-all", file];
    await using program = new Program("unshare", ["-m", "sh", "-c", script, "sh", Deno.execPath(), ...args], {
      stdin: "piped",
    });
    await program.line(/^Try: sudo mount -t tmpfs none \/mnt$/);
    await program.type(`mount -t tmpfs none ${mounted}\n`);
    await program.line(new RegExp(`^Last mount: none ${mounted} tmpfs `));
    await program.type(`umount ${mounted}\n`);
    await program.line(new RegExp(`^Last mount: (?!none ${mounted})`));
  });

  test("its program for a child process kills it after a second", { needs: [LINUX] }, async () => {
    await using temporary = await directory();
    const flags = ["--allow-ffi", "--allow-env", "--allow-run=sh"];
    {
      await using program = await printed(temporary.path, child, flags);
      await program.line(/^Killed after a second$/);
      assertEquals(await program.ended(), { code: 0, signal: null });
    }
    const source = child!.replace("exec sleep 60", "echo done").replace("+ 1000", "+ 60_000");
    await using program = await printed(temporary.path, source, flags);
    assertEquals(await program.line(/^(.*)$/), ["started"]);
    assertEquals(await program.line(/^(.*)$/), ["done"]);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });
});
