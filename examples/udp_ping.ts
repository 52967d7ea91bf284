/**
 * Pings a UDP echo server, and tells the time that each datagram takes; it is such a server too.
 *
 * A datagram can be lost, come late, or find nobody there. So each wait has an end, and each answer a number.
 *
 * To wait is synchronous here, so that no listener for signals would be heard: Ctrl-C ends the program in the ordinary
 * way, and the system closes what it had open.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/udp-ping serve 9007
 * deno run --allow-ffi jsr:@selectors/selectors/examples/udp-ping 127.0.0.1 9007 4
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, OSError } from "../mod.ts";
import { AF_INET, getaddrinfo, SOCK_DGRAM, Socket } from "../ffi/socket/mod.ts";

const SECONDS = 1;
const [host = "serve", port = "9007", count = "4"] = Deno.args;
if (host === "serve") serve();
else ping(host);

function serve(): never {
  const socket = new Socket(AF_INET, SOCK_DGRAM);
  socket.bind({ hostname: "127.0.0.1", port: Number(port) });
  const { port: bound } = socket.getsockname() as { port: number };
  console.log(`Echoing datagrams on port ${bound}; try: nc -u 127.0.0.1 ${bound}`);
  for (;;) {
    try {
      const [datagram, sender] = socket.recvFrom(65_536); // blocks: there is nothing else to wait for
      socket.sendTo(datagram, sender);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
    }
  }
}

function ping(host: string): void {
  const [{ family, address }] = getaddrinfo(host, port);
  using selector = new DefaultSelector<undefined, Socket>();
  using socket = new Socket(family, SOCK_DGRAM);
  socket.connect(address); // so that nobody else's datagrams come, and that it is told when nobody is there
  socket.setBlocking(false);
  selector.register(socket, EVENT_READ);
  let received = 0;
  for (let number = 1; number <= Number(count); number++) {
    const start = performance.now();
    try {
      socket.send(new TextEncoder().encode(`ping ${number}`));
    } catch (error) {
      report(error);
    }
    // The whole second is waited out, whatever comes in it.
    for (let left; (left = start + SECONDS * 1000 - performance.now()) > 0;) {
      if (selector.select(left / 1000).length > 0) receive(start, number);
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
  if (error.code !== "EAGAIN") console.log(error.message); // ECONNREFUSED: nobody is there, yet
}
