/**
 * Finds the programs to time on this machine, or compiles them from files in this directory.
 *
 * @module
 */

/** A program on this machine. */
export interface Program {
  /** The name to print. */
  name: string;
  /** The product and its version. */
  version: string;
  /** The command line; the caller may append arguments. */
  command: string[];
}

/** Returns the path of a file in this directory. */
export function here(name: string): string {
  return `${import.meta.dirname!}/${name}`;
}

/**
 * Imports `plots.ts`, which downloads the drawing library. The path is not a literal, because Deno downloads the
 * imports of literals before the program starts.
 */
export function importPlots(): Promise<typeof import("./plots.ts")> {
  return import(here("plots.ts"));
}

/** Runs a command and returns its output, or null if it does not exist or fails. */
export function tryRun([program, ...args]: string[]): string | null {
  try {
    const { success, stdout } = new Deno.Command(program!, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** A C library: its name to print, its pkg-config module, and its Debian package. */
export interface Library {
  name: string;
  module: string;
  debian: string;
}

/**
 * Compiles a C file in this directory, or prints why it cannot.
 *
 * @param source Name of the file
 * @param directory Directory for the program
 * @param library A library to link
 */
export function compileC(source: string, directory: string, library?: Library): Program | null {
  const name = library?.name ?? "C";
  const compiler = tryRun(["cc", "--version"]);
  if (compiler === null) return leaveOut(name, "install a C compiler that is called `cc`, for example gcc");
  const flags = library === undefined ? "" : tryRun(["pkg-config", "--cflags", "--libs", library.module]);
  if (flags === null) return leaveOut(name, `install \`${library!.debian}\` and \`pkg-config\``);
  const binary = `${directory}/${source.replace(/\.c$/, "")}`;
  const words = flags.split(/\s+/).filter((word) => word !== "");
  if (tryRun(["cc", "-O2", "-pthread", here(source), "-o", binary, ...words]) === null) {
    return leaveOut(name, `\`cc\` cannot compile ${source}; install the headers of the C library`);
  }
  const version = library === undefined
    ? `${compiler.split("\n")[0]}, -O2`
    : `${name} ${tryRun(["pkg-config", "--modversion", library.module])}`;
  return { name, version, command: [binary] };
}

/** Compiles a Go file in this directory, or prints why it cannot. */
export function compileGo(source: string, directory: string): Program | null {
  const version = tryRun(["go", "env", "GOVERSION"]);
  if (version === null) return leaveOut("Go", "install `golang-go`");
  const binary = `${directory}/echo_go`;
  if (tryRun(["go", "build", "-o", binary, here(source)]) === null) {
    return leaveOut("Go", `\`go build\` cannot compile ${source}`);
  }
  return { name: "Go", version: version.replace("go", "Go "), command: [binary] };
}

/** Directory with the sources of Rust crates from Debian's packages. */
const DEBIAN_CRATES = "/usr/share/cargo/registry";

/** Compiles a Rust file with mio, from Debian's package if it is installed, or prints why it cannot. */
export function compileRust(source: string, directory: string): Program | null {
  const version = tryRun(["rustc", "--version"]);
  if (version === null) return leaveOut("mio", "install `cargo` and `librust-mio-dev`");
  const manifest = `${directory}/Cargo.toml`;
  Deno.writeTextFileSync(
    manifest,
    `[package]
name = "echo_mio"
version = "0.0.0"
edition = "2021"
[[bin]]
name = "echo_mio"
path = ${JSON.stringify(here(source))}
[dependencies]
mio = { version = "0.8", features = ["os-poll", "net"] }
`,
  );
  const isPackaged = tryRun(["sh", "-c", `ls -d ${DEBIAN_CRATES}/mio-0.8*`]) !== null;
  const debian = ['source.crates-io.replace-with="debian"', `source.debian.directory="${DEBIAN_CRATES}"`];
  const config = isPackaged ? ["--offline", ...debian.flatMap((setting) => ["--config", setting])] : [];
  const build = ["cargo", "build", "--release", "--manifest-path", manifest, "--target-dir", `${directory}/rust`];
  if (tryRun([...build, ...config]) === null) {
    return leaveOut("mio", `\`cargo\` cannot compile ${source}; install \`librust-mio-dev\``);
  }
  const [, mio] = /name = "mio"\nversion = "(.*)"/.exec(Deno.readTextFileSync(`${directory}/Cargo.lock`))!;
  const [rust] = /rustc [\d.]+/.exec(version)!;
  return { name: "mio", version: `mio ${mio} (${rust})`, command: [`${directory}/rust/release/echo_mio`] };
}

/** Returns this Deno. */
export function findDeno(): Program {
  return {
    name: "Deno",
    version: `Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`,
    command: [Deno.execPath(), "run", "--quiet"],
  };
}

// Each program reports the path of its own binary, so that no wrapper script is measured.

/** Finds CPython, or prints how to get it. */
export function findCPython(python: string): Program | null {
  const ask = "import os, platform, sys; os.eventfd; print(sys.executable, platform.python_version(), " +
    "platform.python_compiler(), sep='\\n')";
  const [path, version, compiler] = tryRun([python, "-c", ask])?.split("\n") ?? [];
  if (path === undefined) {
    return leaveOut("CPython", `install \`${python}\` 3.10 or later, which has os.eventfd()`);
  }
  return { name: "CPython", version: `CPython ${version} (${compiler})`, command: [path] };
}

/** Finds Node, or prints how to get it. */
export function findNode(): Program | null {
  return findJavaScript("Node", "node", ["-p", "process.execPath + '\\n' + process.versions.node"]);
}

/** Finds Bun, or prints how to get it. */
export function findBun(): Program | null {
  return findJavaScript("Bun", "bun", ["-p", "process.execPath + '\\n' + Bun.version"]);
}

function findJavaScript(name: string, program: string, ask: string[]): Program | null {
  const [path, version] = tryRun([program, ...ask])?.split("\n") ?? [];
  // Without Node, `node` may be a wrapper that runs Deno.
  if (path === undefined || path === Deno.execPath()) {
    return leaveOut(name, `get it with \`npm install --global ${program}\``);
  }
  return { name, version: `${name} ${version}`, command: [path] };
}

function leaveOut(name: string, remedy: string): null {
  console.log(`Skipped ${name}: ${remedy}`);
  return null;
}

/** Returns the number of descriptors that child processes can open. */
export function descriptorLimit(): number {
  const limit = Number(tryRun(["sh", "-c", "ulimit -n"]));
  return Number.isNaN(limit) ? Infinity : limit; // it may print "unlimited"
}

/** Returns one line about the machine: kernel and processor. */
export function machine(): string {
  const model = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const cores = navigator.hardwareConcurrency;
  const [release] = /^[\d.]*/.exec(Deno.osRelease())!;
  return `Linux ${release}, ${cores} cores${model === undefined ? "" : ` of ${model}`}`;
}

/** Prints a warning if other programs are running. They affect ratios a little, and all other numbers a lot. */
export function warnIfBusy(): void {
  const [load] = Deno.loadavg();
  if (load! > 0.5) console.log(`NOT QUIET: the load average was ${load!.toFixed(1)} before the first measurement`);
}
