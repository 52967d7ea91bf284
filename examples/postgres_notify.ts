/**
 * Serves PostgreSQL notifications as server-sent events: libpq together with `Deno.serve`, in one thread.
 *
 * Shows how to use a C library with non-blocking functions: the library says which events of its descriptor it needs,
 * the program waits for them, and the library reads and writes. `GET /` streams the notifications of the channel
 * `news`. `POST /` sends the body of the request to the channel. The program ends on Ctrl-C, or when the connection to
 * the database ends.
 *
 * Install libpq (Debian package `libpq5`). The first argument is a connection string. It should contain a socket
 * directory or `hostaddr` instead of a hostname, because libpq blocks while it resolves a hostname.
 *
 * ```sh
 * deno run --allow-ffi --allow-net=127.0.0.1 jsr:@selectors/selectors/examples/postgres-notify host=/run/postgresql
 * # in another terminal:
 * curl -N http://127.0.0.1:8009/
 * # in a third terminal:
 * curl -d hello http://127.0.0.1:8009/
 * psql -h /run/postgresql -c "NOTIFY news, 'hello from psql'"
 * ```
 *
 * @module
 */

import { EVENT_READ, EVENT_WRITE, waitFor } from "@selectors/selectors";

const PGRES_POLLING_FAILED = 0;
const PGRES_POLLING_WRITING = 2;
const PGRES_POLLING_OK = 3;
const PGRES_FATAL_ERROR = 7;

/** struct pgNotify { char *relname; int be_pid; char *extra; … }, on a 64-bit system */
const pgNotify = { relname: 0, be_pid: 8, extra: 16 };

const { symbols: libpq } = Deno.dlopen("libpq.so.5", {
  // PGconn *PQconnectStart(const char *conninfo)
  PQconnectStart: { parameters: ["buffer"], result: "pointer" },
  // PostgresPollingStatusType PQconnectPoll(PGconn *conn)
  PQconnectPoll: { parameters: ["pointer"], result: "i32" },
  // int PQsocket(const PGconn *conn)
  PQsocket: { parameters: ["pointer"], result: "i32" },
  // char *PQerrorMessage(const PGconn *conn)
  PQerrorMessage: { parameters: ["pointer"], result: "pointer" },
  // int PQsetnonblocking(PGconn *conn, int arg)
  PQsetnonblocking: { parameters: ["pointer", "i32"], result: "i32" },
  // char *PQescapeLiteral(PGconn *conn, const char *str, size_t length)
  PQescapeLiteral: { parameters: ["pointer", "buffer", "usize"], result: "pointer" },
  // int PQsendQuery(PGconn *conn, const char *query)
  PQsendQuery: { parameters: ["pointer", "buffer"], result: "i32" },
  // int PQflush(PGconn *conn)
  PQflush: { parameters: ["pointer"], result: "i32" },
  // int PQconsumeInput(PGconn *conn)
  PQconsumeInput: { parameters: ["pointer"], result: "i32" },
  // int PQisBusy(PGconn *conn)
  PQisBusy: { parameters: ["pointer"], result: "i32" },
  // PGresult *PQgetResult(PGconn *conn)
  PQgetResult: { parameters: ["pointer"], result: "pointer" },
  // ExecStatusType PQresultStatus(const PGresult *res)
  PQresultStatus: { parameters: ["pointer"], result: "i32" },
  // void PQclear(PGresult *res)
  PQclear: { parameters: ["pointer"], result: "void" },
  // PGnotify *PQnotifies(PGconn *conn)
  PQnotifies: { parameters: ["pointer"], result: "pointer" },
  // void PQfreemem(void *ptr)
  PQfreemem: { parameters: ["pointer"], result: "void" },
});

const toC = (text: string) => new TextEncoder().encode(`${text}\0`);
const fromC = (text: Deno.PointerValue) => Deno.UnsafePointerView.getCString(text!);
const lastError = () => new Error(fromC(libpq.PQerrorMessage(connection)).trim());

const listeners = new Set<ReadableStreamDefaultController<Uint8Array>>();
let running: PromiseWithResolvers<void> & { error?: Error } | null = null;
let lastQuery: Promise<unknown> = Promise.resolve();
Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  Deno.exit();
});

const connection = libpq.PQconnectStart(toC(Deno.args[0] ?? ""));
try {
  await connect();
  query("LISTEN news");
  const [hostname, port] = ["127.0.0.1", Number(Deno.args[1] ?? 8009)];
  const onListen = ({ port }: { port: number }) => console.log(`Listening; try: curl -N http://${hostname}:${port}/`);
  Deno.serve({ hostname, port, onListen }, respond);
  for (;;) {
    receive(); // before each wait, because libpq may already have notifications in its buffer
    await waitFor(libpq.PQsocket(connection), EVENT_READ);
  }
} catch (error) {
  console.error(`postgres_notify: ${(error as Error).message}`);
  Deno.exit(1);
}

/** Connects. The descriptor can change after each step, because libpq may try several addresses. */
async function connect(): Promise<void> {
  for (let status = PGRES_POLLING_WRITING; status !== PGRES_POLLING_OK;) {
    if (status === PGRES_POLLING_FAILED || libpq.PQsocket(connection) < 0) throw lastError();
    const events = status === PGRES_POLLING_WRITING ? EVENT_WRITE : EVENT_READ;
    if (await waitFor(libpq.PQsocket(connection), events, 10) === 0) throw new Error("the server does not answer");
    status = libpq.PQconnectPoll(connection);
  }
  libpq.PQsetnonblocking(connection, 1);
}

/** Runs a query after all earlier queries, because a connection can run only one query at a time. */
function query(sql: string): Promise<void> {
  const ended = lastQuery.then(async () => {
    if (libpq.PQsendQuery(connection, toC(sql)) === 0) throw lastError();
    running = Promise.withResolvers();
    const { promise } = running; // receive() sets `running` to null
    while (libpq.PQflush(connection) === 1) { // 1: libpq has not sent the whole query yet
      if (await waitFor(libpq.PQsocket(connection), EVENT_READ | EVENT_WRITE) & EVENT_READ) receive();
    }
    await promise;
  });
  lastQuery = ended.catch(() => {});
  return ended;
}

/** Reads from the server, and takes everything that libpq has: notifications, and results of the running query. */
function receive(): void {
  if (libpq.PQconsumeInput(connection) === 0) throw lastError();
  for (let notify; (notify = libpq.PQnotifies(connection)) !== null; libpq.PQfreemem(notify)) {
    const payload = fromC(new Deno.UnsafePointerView(notify).getPointer(pgNotify.extra));
    const event = new TextEncoder().encode(`data: ${payload.replaceAll(/\r\n?|\n/g, "\ndata: ")}\n\n`);
    for (const listener of listeners) listener.enqueue(event);
  }
  while (running !== null && libpq.PQisBusy(connection) === 0) {
    const result = libpq.PQgetResult(connection);
    if (result === null) { // the query has no more results
      if (running.error === undefined) running.resolve();
      else running.reject(running.error);
      running = null;
    } else {
      if (libpq.PQresultStatus(result) === PGRES_FATAL_ERROR) running.error = lastError();
      libpq.PQclear(result);
    }
  }
}

async function respond(request: Request): Promise<Response> {
  if (request.method === "GET") return new Response(events(), { headers: { "Content-Type": "text/event-stream" } });
  const text = toC(await request.text());
  const literal = libpq.PQescapeLiteral(connection, text, BigInt(text.length - 1));
  if (literal === null) return new Response(lastError().message, { status: 400 });
  const sql = `NOTIFY news, ${fromC(literal)}`;
  libpq.PQfreemem(literal);
  return await query(sql).then(() => new Response("Sent\n"), ({ message }) => new Response(message, { status: 400 }));
}

/** Returns a stream of server-sent events. */
function events(): ReadableStream<Uint8Array> {
  let listener: ReadableStreamDefaultController<Uint8Array>;
  return new ReadableStream({
    start: (controller) => void listeners.add(listener = controller),
    cancel: () => void listeners.delete(listener),
  });
}
