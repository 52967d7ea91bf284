/**
 * The package as JSR would serve it. A local server uses JSR's protocol to serve the files that `deno publish` would
 * send, and programs with an empty cache import and run the package from that server.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join, relative } from "@std/path";
import { CTRL_C, lackedBy } from "./support/needs.ts";
import { describeProgram, interrupt, Program, ROOT, run } from "./support/program.ts";
import { bytes, test, text } from "./support/util.ts";

/** SO_REUSEPORT. */
const REUSE_PORT = lackedBy({ windows: "Windows has no SO_REUSEPORT" });

const { name, version, exports, imports } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))) as {
  name: string;
  version: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
};

/** The published files, with their paths in the package and their published contents. */
async function published(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { code, error } = await run(
    Deno.execPath(),
    "publish",
    "--dry-run",
    "--allow-dirty",
    `--config=${join(ROOT, "deno.json")}`,
  );
  assertEquals(code, 0, error);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [, url] of error.matchAll(/^ +(file:\S+) \([\d.]+\w+\)$/gm)) {
    const path = `/${relative(ROOT, Deno.realPathSync(new URL(url!)).replaceAll("\\", "/"))}`.replaceAll("\\", "/");
    files.set(path, unfurled(path, await Deno.readFile(new URL(url!))));
  }
  return files;
}

/** Replaces import names with the specifiers from deno.json, as `deno publish` does. */
function unfurled(path: string, content: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (!path.endsWith(".ts")) return content;
  return bytes(
    text(content).replace(/ from "([^".]+)";$/gm, (line, specifier: string) => {
      if (specifier === name || specifier.startsWith(`${name}/`)) {
        return ` from "jsr:${name}@^${version}${specifier.slice(name.length)}";`;
      }
      return specifier in imports ? ` from "${imports[specifier]}";` : line;
    }),
  );
}

/** Returns the first element. */
async function received(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(1000);
  return text(buffer.subarray(0, (await connection.read(buffer))!));
}

const TYPES: Readonly<Record<string, string>> = {
  ts: "text/typescript",
  json: "application/json",
  md: "text/markdown",
};

/** A server for one package, with an empty cache and a log of the requests. */
class Registry implements AsyncDisposable {
  readonly directory: string = Deno.makeTempDirSync();
  readonly asked: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(files: Map<string, Uint8Array<ArrayBuffer>>, manifest: Record<string, unknown>) {
    const [scope, short] = name.slice(1).split("/");
    const documents: Record<string, unknown> = {
      [`/${name}/meta.json`]: { scope, name: short, latest: version, versions: { [version]: {} } },
      [`/${name}/${version}_meta.json`]: { manifest, exports },
    };
    const base = `/${name}/${version}`;
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const { pathname } = new URL(request.url);
      this.asked.push(pathname);
      if (pathname in documents) return Response.json(documents[pathname]);
      const content = pathname.startsWith(`${base}/`) ? files.get(pathname.slice(base.length)) : undefined;
      if (content === undefined) return new Response("Not found", { status: 404 });
      const type = TYPES[pathname.split(".").at(-1)!] ?? "text/plain";
      return new Response(content, { headers: { "Content-Type": type } });
    });
  }

  static async start(change: (manifest: Record<string, { size: number; checksum: string }>) => void = () => {}) {
    const files = await published();
    const manifest: Record<string, { size: number; checksum: string }> = {};
    for (const [path, content] of files) {
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
      manifest[path] = { size: content.length, checksum: `sha256-${hash.toHex()}` };
    }
    change(manifest);
    return new Registry(files, manifest);
  }

  /** The environment of a command that gets the package from this server. */
  get environment(): Record<string, string> {
    return { JSR_URL: `http://${this.host}/`, DENO_DIR: join(this.directory, "cache"), NO_COLOR: "1" };
  }

  /** The host of the server, for a permission. */
  get host(): string {
    return `127.0.0.1:${this.#server.addr.port}`;
  }

  /** Starts one of the package's examples. */
  program(example: string, flags: string[], ...args: string[]): Program {
    const all = ["run", "--quiet", "--no-prompt", ...flags, `jsr:${name}/examples/${example}`, ...args];
    return new Program(Deno.execPath(), all, { cwd: this.directory, env: this.environment });
  }

  /** Runs Deno in an empty directory. */
  async deno(...args: string[]): Promise<{ code: number; out: string; error: string }> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: this.directory,
      env: this.environment,
      stdin: "null",
    }).output();
    return { code, out: text(stdout), error: text(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.directory, { recursive: true });
  }
}

describeProgram("the package on JSR", () => {
  test("mod.ts can be imported with an empty cache, with its types and without unneeded files", async () => {
    await using registry = await Registry.start();
    const program = join(registry.directory, "program.ts");
    await Deno.writeTextFile(
      program,
      `
import { DefaultSelector, EVENT_READ } from "jsr:${name}";
import { select } from "jsr:${name}@^${version}/select";
import { socketpair } from "jsr:${name}@^${version}/socket";

const [here, there] = socketpair();
using selector = new DefaultSelector<string>();
selector.register(here, EVENT_READ, "a ping");
there.send(new TextEncoder().encode("ping"));
for (const [key, events] of selector.select()) console.log(key.data satisfies string, events);
console.log(select([here], [], [], 0)[0].length);
`,
    );
    const { code, out, error } = await registry.deno("run", "--check", "--no-prompt", "--allow-ffi", program);
    assertEquals([code, out], [0, "a ping 1\n1\n"], error);
    assert(!registry.asked.some((path) => /examples|README|npm/.test(path)), registry.asked.join("\n"));
  });

  test("echo_server runs from the registry", async () => {
    await using registry = await Registry.start();
    await using program = registry.program("echo-server", ["--allow-ffi"], "--port", "0");
    const [port] = await program.line(/^Listening on 127\.0\.0\.1 port (\d+); try: nc/);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await connection.write(bytes("hello\n"));
    assertEquals(await received(connection), "hello\n");
  });

  test("reuse_port runs from the registry, with its Workers", { needs: [REUSE_PORT] }, async () => {
    await using registry = await Registry.start();
    // Imports from jsr.io need no flag, but imports from this server do.
    const flags = ["--allow-ffi", `--allow-import=${registry.host}`];
    await using program = registry.program("reuse-port", flags, "0", "2");
    const [port] = await program.line(/^2 workers listen on port (\d+); try/);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    assertMatch(await received(connection), /^You are served by worker [12]\n$/);
  });

  test("Signals reports Ctrl-C in a program from the registry with only --allow-ffi", { needs: [CTRL_C] }, async () => {
    await using registry = await Registry.start();
    await using program = registry.program("select-server", ["--allow-ffi"], "0");
    await program.line(/^Listening on port \d+/);
    await interrupt(program);
  });

  test("exports in deno.json exist and pass the type check", async () => {
    await using registry = await Registry.start();
    const entries = Object.keys(exports).map((path) => path.slice(1));
    const { code, error } = await registry.deno("check", ...entries.map((path) => `jsr:${name}${path}`));
    assertEquals(code, 0, error);
  });

  test("mod.ts and all other published files have no dependencies", async () => {
    for (const [path, content] of await published()) {
      if (!path.endsWith(".ts")) continue;
      const code = text(content).replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
      for (const [, specifier] of code.matchAll(/ from "([^"\n]+)";$/gm)) {
        assert(/^(\.|node:|jsr:@selectors\/selectors@)/.test(specifier!), `${path} imports ${specifier}`);
      }
    }
  });

  test("Registry serves checksums that Deno verifies", async () => {
    await using registry = await Registry.start((manifest) => {
      manifest["/mod.ts"]!.checksum = manifest["/LICENSE"]!.checksum;
    });
    const { code, error } = await registry.deno("cache", `jsr:${name}`);
    assert(code !== 0);
    assertMatch(error, /Integrity check failed/);
  });
});
