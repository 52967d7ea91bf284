import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { arch, os, system } from "../ffi/os/systems.ts";
import { lackedBy } from "./support/needs.ts";
import { TIMERS } from "./support/sources.ts";
import { isWindows, LIBC, skip, test } from "./support/util.ts";

/** Pipes, and Unix errors. */
const UNIX = lackedBy({ windows: "it uses pipes and checks Unix errors" });
/** A C library that contains the socket functions. */
const LIBC_SOCKETS = lackedBy({ windows: "on Windows, sockets are in another library" });

const MODULES = [
  "../mod.ts",
  "../ffi/select/mod.ts",
  "../ffi/socket/mod.ts",
  "../ffi/sources/mod.ts",
  "../selectors/streams.ts",
].map((path) => new URL(path, import.meta.url).href);
const [SELECTORS, SELECT, SOCKET, SOURCES, STREAMS] = MODULES.map((href) => JSON.stringify(href));

/** Names from `ffi/os/systems.ts` that `--allow-ffi` accepts as a path. */
const LIBC_PATHS = [
  `/lib/${arch}-linux-gnu/libc.so.6`,
  `/usr/lib/${arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
  "/lib/libc.so.6",
  `/lib/libc.musl-${arch}.so.1`,
  `/lib/ld-musl-${arch}.so.1`,
  "/system/lib64/libc.so",
  "/usr/lib/libSystem.B.dylib",
  "/lib/libc.so.7",
  "/lib/libc.so.12",
  "/lib/64/libc.so.1",
];

/** Uses every source. The program signals itself with kill(2), because Deno.kill() needs another permission. */
const SOURCES_WORK = `
  import { DefaultSelector, EVENT_READ } from ${SELECTORS};
  import { Notifier, ProcessExit, Signals, Timer } from ${SOURCES};

  const libc = Deno.dlopen(LIBRARY, { kill: { parameters: ["i32", "i32"], result: "i32" } }).symbols;
  const out = [];
  using selector = new DefaultSelector();
  using signals = new Signals(["SIGINT", "SIGWINCH"]);
  using timer = new Timer(0.001);
  using exit = new ProcessExit(Deno.pid);
  using notifier = new Notifier();
  for (const source of [signals, timer, exit, notifier]) selector.register(source, EVENT_READ);
  notifier.notify();
  libc.kill(Deno.pid, 2);
  while (out.length < 3) {
    for (const [{ fileobj }] of selector.select()) {
      const result = fileobj.read();
      if (result !== false && result !== 0 && result.length !== 0) out.push(JSON.stringify(result));
    }
  }
  console.log(JSON.stringify([out.sort(), exit.read()]));
`;
const SOURCES_PRINT = [["1", '["SIGINT"]', "true"], null];

/** Uses selectors, primitives, sockets and name resolution, and causes errors of each. */
const EVERYTHING = `
  import { DefaultSelector, EVENT_READ } from ${SELECTORS};
  import { select } from ${SELECT};
  import { AF_INET, close, getaddrinfo, pipe, read, Socket, socketpair, write } from ${SOCKET};
  import { toReadableStream, toWritableStream } from ${STREAMS};

  function codeOf(call) {
    try {
      call();
    } catch (error) {
      return error.code;
    }
  }

  const [here, there] = socketpair();
  using selector = new DefaultSelector();
  const out = [];
  selector.register(there, EVENT_READ, "data");
  out.push(selector.select(0).length);
  here.send(new Uint8Array([7]));
  out.push(selector.select(10).map(([key, events]) => [key.data, events]));
  out.push(select([there], [], [], 10)[0].length);
  out.push(there.recv(10)[0]);
  there.setBlocking(false);
  out.push(codeOf(() => there.recv(10)), there.tryRecvInto(new Uint8Array(1)));
  here.close();
  out.push(codeOf(() => here.send(new Uint8Array(1))), codeOf(() => there.send(new Uint8Array(1))));
  selector.unregister(there);
  there.close();

  const [reader, writer] = pipe();
  write(writer, new Uint8Array(3));
  out.push(read(reader, new Uint8Array(10)));
  close(reader);
  close(writer);
  out.push(codeOf(() => close(writer)));

  using dead = new Socket();
  dead.bind({ hostname: "127.0.0.1", port: 0 });
  using client = new Socket();
  out.push(client.connectEx(dead.getsockname()));
  out.push(getaddrinfo("localhost", 80, { family: AF_INET })[0].address.hostname);

  const [from, to] = pipe();
  const sent = new Blob(["streamed"]).stream().pipeTo(toWritableStream(to));
  out.push(await new Response(toReadableStream(from)).text());
  await sent;
  console.log(JSON.stringify(out));
`;
const EVERYTHING_PRINTS = [
  0,
  [["data", 1]],
  1,
  7,
  "EAGAIN",
  null,
  "EBADF",
  "EPIPE",
  3,
  "EBADF",
  "ECONNREFUSED",
  "127.0.0.1",
  "streamed",
];

/** Runs a module in another Deno with only these permissions. */
async function run(source: string, ...permissions: string[]): Promise<{ code: number; out: string; err: string }> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/main.js`, source);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--no-config", "--no-lock", ...permissions, `${folder}/main.js`],
      cwd: folder,
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    return { code, out: out!, err: err! };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function assertPrints(expected: unknown, source: string, ...permissions: string[]): Promise<void> {
  const { code, out, err } = await run(source, ...permissions);
  assertEquals([code, err], [0, ""]);
  assertEquals(JSON.parse(out), expected);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

describe("permissions", () => {
  test("imports of the public modules need no permission", async () => {
    const source = `
      import { DefaultSelector } from ${SELECTORS};
      import { select } from ${SELECT};
      import { Socket } from ${SOCKET};
      import { Signals } from ${SOURCES};
      import { toReadableStream } from ${STREAMS};
      const values = [DefaultSelector, select, Socket, Signals, toReadableStream];
      console.log(JSON.stringify(values.map((value) => typeof value)));
    `;
    const expected = Array(5).fill("function");
    await assertPrints(expected, source);
    await assertPrints(expected, source, "--deny-ffi");
  });

  test("imports open no library, and the first selector or socket does", async () => {
    // A dynamic import, so that the program can observe whether it opens a library.
    const source = (href: string, use: string) => `
      let opened = 0;
      const { dlopen } = Deno;
      Deno.dlopen = (...parameters) => (opened++, dlopen(...parameters));
      const module = await import(${href});
      const before = opened;
      ${use};
      console.log(JSON.stringify([before, opened > 0]));
    `;
    await assertPrints([0, true], source(SELECTORS!, "new module.DefaultSelector().close()"), "--allow-ffi");
    await assertPrints([0, true], source(SELECT!, "module.select([], [], [], 0)"), "--allow-ffi");
    await assertPrints([0, true], source(SOCKET!, "new module.Socket().close()"), "--allow-ffi");
    await assertPrints([0, true], source(STREAMS!, "try { module.toReadableStream(9999) } catch {}"), "--allow-ffi");
    await assertPrints([0, true], source(SOURCES!, "new module.Notifier().close()"), "--allow-ffi");
  });

  const needs: [name: string, href: string, call: string][] = [
    ["new DefaultSelector()", SELECTORS!, "new module.DefaultSelector()"],
    ["new SelectSelector()", SELECTORS!, "new module.SelectSelector().select(0)"],
    ["select()", SELECT!, "module.select([], [], [], 0)"],
    ["new Socket()", SOCKET!, "new module.Socket()"],
    ["socketpair()", SOCKET!, "module.socketpair()"],
    ...(isWindows ? [] : [["pipe()", SOCKET!, "module.pipe()"] satisfies [string, string, string]]),
    ["getaddrinfo()", SOCKET!, "module.getaddrinfo('127.0.0.1', 80)"],
    ["toReadableStream()", STREAMS!, "module.toReadableStream(0)"],
    ["toWritableStream()", STREAMS!, "module.toWritableStream(1)"],
    ["new Notifier()", SOURCES!, "new module.Notifier()"],
    ["new Signals()", SOURCES!, "new module.Signals(['SIGINT'])"],
    ...(system.timer === null
      ? []
      : [["new Timer()", SOURCES!, "new module.Timer(1)"] satisfies [string, string, string]]),
    ...(system.process === null
      ? []
      : [["new ProcessExit()", SOURCES!, "new module.ProcessExit(Deno.pid)"] satisfies [string, string, string]]),
  ];
  test(`${needs.map(([name]) => name).join(", ")} throw NotCapable that names --allow-ffi`, async () => {
    const lines = needs.map(([name, href, call]) => `
      try {
        const module = await import(${href});
        ${call};
        found.push([${JSON.stringify(name)}, "nothing was thrown"]);
      } catch (error) {
        found.push([${JSON.stringify(name)}, error instanceof Deno.errors.NotCapable, error.message]);
      }
    `);
    const source = `const found = []; ${lines.join("")} console.log(JSON.stringify(found));`;
    for (const permissions of [[], ["--deny-ffi"], ["--allow-read", "--allow-net", "--allow-sys"]]) {
      const { code, out, err } = await run(source, ...permissions);
      assertEquals([code, err], [0, ""]);
      const found = JSON.parse(out) as [name: string, isNotCapable: boolean, message: string][];
      assertEquals(found.map(([name]) => name), needs.map(([name]) => name));
      for (const [name, isNotCapable, message] of found) {
        assert(isNotCapable === true, `${name}: ${message}`);
        assertStringIncludes(message, "--allow-ffi");
      }
    }
  });

  test("NotCapable, if uncaught, names --allow-ffi", async () => {
    const { code, err } = await run(`import { Socket } from ${SOCKET}; new Socket();`);
    assertEquals(code, 1);
    assertMatch(err, /NotCapable: .*--allow-ffi/);
  });

  test("mod.ts and every other entry point work with only --allow-ffi", { needs: [UNIX] }, async () => {
    await assertPrints(EVERYTHING_PRINTS, EVERYTHING, "--allow-ffi");
  });

  const withLibrary = (path: string) => SOURCES_WORK.replace("LIBRARY", JSON.stringify(path));
  test(
    "sources work with only --allow-ffi, without remote imports",
    { needs: [UNIX, TIMERS] },
    async () => {
      await assertPrints(SOURCES_PRINT, withLibrary(LIBC), "--allow-ffi");
      await assertPrints(SOURCES_PRINT, withLibrary(LIBC), "--allow-ffi", "--deny-import", "--deny-net", "--deny-read");
    },
  );

  const path = LIBC_PATHS.find(isFile);
  const alone = "everything works with --allow-ffi=<path of the C library> alone";
  if (path === undefined) {
    skip(alone, `none of the paths that are known for the C library is a file on this ${os} ${arch}`);
  } else {
    test(alone, { needs: [LIBC_SOCKETS] }, () => assertPrints(EVERYTHING_PRINTS, EVERYTHING, `--allow-ffi=${path}`));

    test("sources work with only --allow-ffi=<path of the C library>", { needs: [UNIX, TIMERS] }, async () => {
      await assertPrints(SOURCES_PRINT, withLibrary(path), `--allow-ffi=${path}`);
    });

    test("--allow-ffi suffices if another permission is denied", { needs: [UNIX] }, async () => {
      await assertPrints(EVERYTHING_PRINTS, EVERYTHING, "--allow-ffi", "--deny-ffi=/nowhere/other.so");
    });

    test(
      "new Socket() throws NotCapable if any path of the C library is denied",
      { needs: [LIBC_SOCKETS] },
      async () => {
        const permissions = ["--allow-ffi", `--deny-ffi=${path}`];
        const { code, err } = await run(`import { Socket } from ${SOCKET}; new Socket();`, ...permissions);
        assertEquals(code, 1);
        assertMatch(err, /NotCapable: .*--allow-ffi/);
      },
    );
  }

  test("new Socket() throws NotCapable with --allow-ffi=<other path>", async () => {
    for (const path of ["/nowhere/other.so", "."]) {
      const { code, err } = await run(`import { Socket } from ${SOCKET}; new Socket();`, `--allow-ffi=${path}`);
      assertEquals(code, 1);
      assertMatch(err, /NotCapable: .*--allow-ffi/);
    }
  });
});
