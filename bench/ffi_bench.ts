/**
 * Times a bare foreign function call for each signature that the package uses.
 *
 * Every call goes to abs(), which uses only its first argument, declared with the parameters of another function.
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "../ffi/os/call.ts";

const abs = lazyLibc({
  close: { name: "abs", parameters: ["i32"], result: "i32" },
  usleep: { name: "abs", parameters: ["u32"], result: "i32" },
  listen: { name: "abs", parameters: ["i32", "i32"], result: "i32" },
  socket: { name: "abs", parameters: ["i32", "i32", "i32"], result: "i32" },
  fcntl: {
    name: "abs",
    parameters: ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"],
    result: "i32",
  },
  pipe2: { name: "abs", parameters: ["buffer", "i32"], result: "i32" },
  bind: { name: "abs", parameters: ["i32", "buffer", "u32"], result: "i32" },
  accept4: { name: "abs", parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  read: { name: "abs", parameters: ["i32", "buffer", "usize"], result: "i32" },
  recv: { name: "abs", parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  recvfrom: { name: "abs", parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "i32" },
  sendto: { name: "abs", parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  setsockopt: { name: "abs", parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { name: "abs", parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  epoll_ctl: { name: "abs", parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { name: "abs", parameters: ["i32", "usize", "i32", "i32"], result: "i32" },
  epoll_pwait2: { name: "abs", parameters: ["i32", "usize", "i32", "buffer", "pointer"], result: "i32" },
  poll: { name: "abs", parameters: ["buffer", "usize", "i32"], result: "i32" },
  ppoll: { name: "abs", parameters: ["buffer", "usize", "buffer", "pointer"], result: "i32" },
  pselect: { name: "abs", parameters: ["i32", "buffer", "buffer", "buffer", "buffer", "pointer"], result: "i32" },
  memmove: { name: "abs", parameters: ["buffer", "buffer", "usize"], result: "usize" },
})();

const bytes = new Uint8Array(64);
const ints = new Int32Array(16);
const address = abs.memmove(bytes, bytes, 0n);

const calls: Record<string, () => void> = {
  "close (i32)": () => abs.close(1),
  "close (i32), with errno read": () => result(abs.close(1), errnoCell[0]!),
  "usleep (u32)": () => abs.usleep(1),
  "listen (i32, i32)": () => abs.listen(1, 2),
  "socket (i32, i32, i32)": () => abs.socket(1, 2, 3),
  "fcntl (i32 nine times)": () => abs.fcntl(1, 2, 3, 4, 5, 6, 7, 8, 9),
  "pipe2 (buffer, i32)": () => abs.pipe2(ints, 1),
  "bind (i32, buffer, u32)": () => abs.bind(1, bytes, 64),
  "accept4 (i32, buffer, buffer, i32)": () => abs.accept4(1, bytes, ints, 0),
  "read (i32, buffer, usize)": () => abs.read(1, bytes, 64n),
  "recv (i32, buffer, usize, i32)": () => abs.recv(1, bytes, 64n, 0),
  "recvfrom (i32, buffer, usize, i32, buffer, buffer)": () => abs.recvfrom(1, bytes, 64n, 0, bytes, ints),
  "sendto (i32, buffer, usize, i32, buffer, u32)": () => abs.sendto(1, bytes, 64n, 0, bytes, 16),
  "setsockopt (i32, i32, i32, buffer, u32)": () => abs.setsockopt(1, 2, 3, ints, 4),
  "getsockopt (i32, i32, i32, buffer, buffer)": () => abs.getsockopt(1, 2, 3, bytes, ints),
  "epoll_ctl (i32, i32, i32, buffer)": () => abs.epoll_ctl(1, 2, 3, ints),
  "epoll_wait (i32, usize, i32, i32)": () => abs.epoll_wait(1, address, 64, 0),
  "epoll_pwait2 (i32, usize, i32, buffer, pointer)": () => abs.epoll_pwait2(1, address, 64, ints, null),
  "poll (buffer, usize, i32)": () => abs.poll(ints, 64n, 0),
  "ppoll (buffer, usize, buffer, pointer)": () => abs.ppoll(ints, 64n, ints, null),
  "pselect (i32, buffer, buffer, buffer, buffer, pointer)": () => abs.pselect(1, ints, ints, ints, ints, null),
  "memmove (buffer, buffer, usize), to a usize": () => abs.memmove(bytes, bytes, 0n),
};

for (const [name, fn] of Object.entries(calls)) {
  Deno.bench({ group: "one foreign call, by signature", name, baseline: name === "close (i32)", fn });
}
