/**
 * Servers for the tests of examples with C libraries, and reasons to skip these tests.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { run } from "./program.ts";
import { isLinux, type Need } from "./util.ts";

/** Returns null if a C library is installed, or the reason to skip the test. */
export function library(name: string): Need {
  if (!isLinux) return `the names and constants are those of Linux: ${name}`;
  try {
    Deno.dlopen(name, {}).close();
    return null;
  } catch {
    return `there is no ${name}`;
  }
}

/** Directory of the PostgreSQL server's programs, or null. On Debian, they are not in PATH. */
const programs = serverPrograms();
/** User of the server, because PostgreSQL does not run as root. */
const account = isLinux && Deno.uid() === 0 ? await postgresAccount() : null;

/** The PostgreSQL server, and a user to run it as. */
export const POSTGRES: Need = programs === null
  ? "there is no PostgreSQL server"
  : Deno.uid() === 0 && account === null
  ? "PostgreSQL does not run as root, and there is no user postgres"
  : null;

/** A PostgreSQL server in its own directory, with a Unix socket and without a TCP port. */
export class Postgres implements AsyncDisposable {
  readonly #directory: string;
  /** Connection string for libpq. */
  readonly connectionString: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.connectionString = `host=${directory} user=postgres dbname=postgres`;
  }

  /** Creates a cluster, and starts its server. */
  static async start(): Promise<Postgres> {
    const directory = await Deno.makeTempDir();
    if (account !== null) await Deno.chown(directory, account.uid, account.gid);
    const data = `${directory}/data`;
    const server = new Postgres(directory);
    await server.#run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync");
    const options = `-k ${directory} -c listen_addresses='' -c fsync=off`;
    await server.#run("pg_ctl", "start", "-w", "-D", data, "-l", `${directory}/log`, "-o", options);
    // Stops the server if the tests are killed.
    const watch =
      'while kill -0 "$1"; do sleep 1; done; kill -QUIT "$(head -n 1 "$2/data/postmaster.pid")"; rm -rf "$2"';
    const detached = 'setsid sh -c "$0" sh "$@" </dev/null >/dev/null 2>&1 &';
    await run("sh", "-c", detached, watch, String(Deno.pid), directory);
    return server;
  }

  /** Executes SQL, and returns the first value of the result. */
  async query(sql: string): Promise<string> {
    const { code, out, error } = await run("psql", "-qAtX", "-d", this.connectionString, "-c", sql);
    assertEquals([code, error], [0, ""]);
    return out.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run("pg_ctl", "stop", "-m", "immediate", "-D", `${this.#directory}/data`);
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #run(program: string, ...args: string[]): Promise<void> {
    const command = [`${programs}/${program}`, ...args];
    if (account !== null) {
      command.unshift("setpriv", `--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups");
    }
    const { code, error } = await run(command[0]!, ...command.slice(1));
    assertEquals([code, error], [0, ""], command.join(" "));
  }
}

function serverPrograms(): string | null {
  if (!isLinux) return null;
  const directories = Deno.env.get("PATH")!.split(":");
  try {
    const versions = [...Deno.readDirSync("/usr/lib/postgresql")];
    directories.push(...versions.map(({ name }) => `/usr/lib/postgresql/${name}/bin`));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return directories.find((directory) => isFile(`${directory}/initdb`) && isFile(`${directory}/pg_ctl`)) ?? null;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

async function postgresAccount(): Promise<{ uid: number; gid: number } | null> {
  const [uid, gid] = await Promise.all([run("id", "-u", "postgres"), run("id", "-g", "postgres")]);
  return uid.code === 0 && gid.code === 0 ? { uid: Number(uid.out), gid: Number(gid.out) } : null;
}
