/**
 * Pings a UDP echo server and prints the time of each answer, or runs such a server.
 *
 * A datagram can be lost or arrive late, and there may be no server. So each wait has a timeout, and each datagram
 * contains a number.
 *
 * The wait is synchronous, so Deno cannot call signal listeners. Instead, the `Signals` object becomes readable on
 * Ctrl-C.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/udp-ping serve 9007
 * # in another terminal:
 * deno run --allow-ffi jsr:@selectors/selectors/examples/udp-ping 127.0.0.1 9007 4
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, OSError } from "@selectors/selectors";
import { AF_INET, getaddrinfo, SOCK_DGRAM, Socket } from "@selectors/selectors/socket";
import { Signals } from "@selectors/selectors/sources";

const SECONDS = 1;
const [host = "serve", port = "9007", count = "4"] = Deno.args;
using selector = new DefaultSelector<undefined, Socket | Signals>();
using signals = new Signals(["SIGINT"]);
selector.register(signals, EVENT_READ);
if (host === "serve") serve();
else ping(host);

function serve(): void {
  using socket = new Socket(AF_INET, SOCK_DGRAM);
  socket.bind({ hostname: "127.0.0.1", port: Number(port) });
  socket.setBlocking(false);
  selector.register(socket, EVENT_READ);
  const { port: bound } = socket.getsockname();
  console.log(`Echoing datagrams on port ${bound}; try: nc -u 127.0.0.1 ${bound}`);
  while (signals.read().length === 0) {
    for (const [key] of selector.select()) {
      if (key.fileobj !== socket) continue;
      try {
        const [datagram, sender] = socket.recvFrom(65_536);
        socket.sendTo(datagram, sender);
      } catch (error) {
        report(error);
      }
    }
  }
  console.log("Server shutting down");
}

function ping(host: string): void {
  const [{ family, address }] = getaddrinfo(host, port);
  using socket = new Socket(family, SOCK_DGRAM);
  socket.connect(address); // so that only the server's datagrams and errors arrive
  socket.setBlocking(false);
  selector.register(socket, EVENT_READ);
  let received = 0;
  let isInterrupted = false;
  for (let number = 1; number <= Number(count) && !isInterrupted; number++) {
    const start = performance.now();
    try {
      socket.send(new TextEncoder().encode(`ping ${number}`));
    } catch (error) {
      report(error);
    }
    // Wait for the whole second, even after an answer.
    const endMs = start + SECONDS * 1000;
    while (performance.now() < endMs && !isInterrupted) {
      const ready = selector.select((endMs - performance.now()) / 1000);
      for (const [key] of ready) if (key.fileobj === socket) receive(start, number);
      isInterrupted = signals.read().length > 0;
    }
  }
  console.log(`${received} of ${count} came back`);
  if (received === 0) Deno.exitCode = 1;

  function receive(start: number, number: number): void {
    try {
      const answer = new TextDecoder().decode(socket.recv(1500));
      const isLate = answer !== `ping ${number}`;
      console.log(`${answer}: ${isLate ? "late" : `${(performance.now() - start).toFixed(3)} ms`}`);
      received++;
    } catch (error) {
      report(error);
    }
  }
}

function report(error: unknown): void {
  if (!(error instanceof OSError)) throw error;
  if (error.code !== "EAGAIN") console.log(error.message); // for example ECONNREFUSED: there is no server yet
}
