/**
 * Compares the numbers and struct layouts in `ffi/` with the C headers of this machine. One C program prints all of
 * them.
 */

import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as epollCalls from "../ffi/os/epoll.ts";
import { errnoCode, errnoOn, OSError } from "../ffi/os/errno.ts";
import { arch, type Os, os, system, SYSTEMS } from "../ffi/os/systems.ts";
import * as epollFlags from "../ffi/select/epoll.ts";
import * as pollFlags from "../ffi/select/poll.ts";
import * as pollCalls from "../ffi/os/poll.ts";
import { ADDRINFO, addrinfoOf } from "../ffi/socket/resolve.ts";
import { SelectSet } from "../ffi/os/select.ts";
import { IN_READ, IN_WRITE } from "../ffi/os/select_set.ts";
import { CMSG_LEN, CMSG_SPACE, CMSGHDR, cmsghdrOf, encodeControl, IOVEC, MSGHDR, msghdrOf } from "../ffi/os/message.ts";
import {
  decodeAddress,
  encodeNumeric,
  encodeUnix,
  SOCKADDR,
  SOCKADDR_IN,
  SOCKADDR_IN6,
  SOCKADDR_UN,
  sockaddrOf,
} from "../ffi/socket/sockaddr.ts";
import { AF_INET, AF_INET6, close, getaddrinfo, setBlocking, SHUT_RD, SHUT_RDWR, SHUT_WR } from "../ffi/socket/mod.ts";
import * as constants from "../ffi/os/socket_constants.ts";
import { Timespec } from "../ffi/os/timeout.ts";
import { answersOf } from "./support/compiler.ts";
import { EPOLL, lackedBy } from "./support/needs.ts";
import { bytes, Cleanup, gathered, libc, test as declare, testNeeding } from "./support/util.ts";

/** Sets that are bit masks and can hold any descriptor. */
const BITS = lackedBy({
  windows: "sets are arrays on Windows",
  emulated: "the emulator crashes at descriptors above 1,023",
});

const epoll = { ...epollCalls, ...epollFlags };
const poll = { ...pollCalls, ...pollFlags };

const hasEpoll = os === "linux" || os === "android";

/** Returns the exported numbers of a module whose names start with a prefix. */
function numbersOf(module: object, prefix: string): [name: string, value: number][] {
  return Object.entries(module).filter(([name, value]) => name.startsWith(prefix) && typeof value === "number");
}

/**
 * Omits SOMAXCONN, which varies between C libraries and their versions; SO_EXCLUSIVEADDRUSE, which only the headers of
 * Windows have; and SOCKADDR_STORAGE_SIZE, which a test below compares with the size of the struct.
 */
const socketConstants = numbersOf(constants, "")
  .filter(([name]) => !["SOMAXCONN", "SO_EXCLUSIVEADDRUSE", "SOCKADDR_STORAGE_SIZE"].includes(name));
const pollConstants = numbersOf(poll, "POLL");
const epollConstants = numbersOf(epoll, "EPOLL");
const shutConstants: [string, number][] = [["SHUT_RD", SHUT_RD], ["SHUT_WR", SHUT_WR], ["SHUT_RDWR", SHUT_RDWR]];

/** The errors whose names the package knows. */
const errnos = Array.from({ length: 4096 }, (_, errno): [string, number] => [errnoCode(errno), errno])
  .filter(([code, errno]) => code !== `E${errno}`);

/** Error codes of getaddrinfo(), each with a call that fails with it on any network. */
const EAI_QUESTIONS: [code: string, ask: () => unknown][] = [
  ["EAI_NONAME", () => getaddrinfo("not.numeric", 80, { flags: constants.AI_NUMERICHOST })],
  ["EAI_FAMILY", () => getaddrinfo("127.0.0.1", 80, { family: 12345 })],
];
// macOS does not check flags, and returns EAI_BADHINTS, which only macOS has, for an unknown type.
if (os !== "darwin") {
  EAI_QUESTIONS.push(
    ["EAI_BADFLAGS", () => getaddrinfo("127.0.0.1", 80, { flags: 0x4000_0000 })],
    ["EAI_SOCKTYPE", () => getaddrinfo("127.0.0.1", 80, { type: 12345 })],
  );
}

/** Constants whose name in C differs from the name here. */
const C_NAMES: Readonly<Record<string, string>> = os === "darwin"
  ? { SO_LINGER: "SO_LINGER_SEC", TCP_KEEPIDLE: "TCP_KEEPALIVE" }
  : {};

/** Values of constants that a system does not define: no flag, and an option number that no system uses. */
const UNDEFINED = [0, 0x7fff_ffff];

/** Structs and the fields that the package uses. */
const STRUCTS: Record<string, string[]> = {
  pollfd: ["fd", "events", "revents"],
  timespec: ["tv_sec", "tv_nsec"],
  addrinfo: Object.keys(ADDRINFO).filter((field) => field !== "size"),
  sockaddr_in: ["sin_family", "sin_port", "sin_addr"],
  sockaddr_in6: ["sin6_family", "sin6_port", "sin6_flowinfo", "sin6_addr", "sin6_scope_id"],
  sockaddr_un: ["sun_family", "sun_path"],
  sockaddr_storage: ["ss_family"],
  iovec: ["iov_base", "iov_len"],
  msghdr: Object.keys(MSGHDR).filter((field) => field !== "size"),
  cmsghdr: ["cmsg_len", "cmsg_level", "cmsg_type"],
  ...(hasEpoll ? { epoll_event: ["events", "data", "data.fd"] } : {}),
};

/** Types whose sizes the FFI declarations depend on. */
const TYPES = ["int", "short", "size_t", "ssize_t", "nfds_t", "socklen_t", "sa_family_t", "void *", "fd_set"];

/** Descriptors to add to an fd_set, one at a time. */
const FD_SET_MEMBERS = [0, 1, 7, 8, 31, 32, 33, 63, 64, 95, 511, 1023];

/** Data sizes of control messages. */
const CONTROL_SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 12, 16, 1012];

/** Returns a program that prints `name=value` for every value that the tests compare. */
function program(): string {
  const lines: string[] = [];
  const put = (name: string, value: string) => lines.push(`printf("%s=%lld\\n", "${name}", (long long)(${value}));`);
  const putMacro = (name: string) => {
    const macro = C_NAMES[name] ?? name;
    lines.push(`#ifdef ${macro}`);
    put(name, macro);
    lines.push("#endif");
  };
  for (const [name] of [...socketConstants, ...pollConstants, ...shutConstants, ...errnos]) putMacro(name);
  for (const [name] of hasEpoll ? epollConstants : []) put(name, name);
  for (const [name] of EAI_QUESTIONS) put(name, name);
  for (const name of ["EAI_SYSTEM", "NI_MAXHOST", "FD_SETSIZE", "F_GETFL", "EWOULDBLOCK", "PIPE_BUF"]) put(name, name);
  for (const type of TYPES) put(`sizeof(${type})`, `sizeof(${type})`);
  put("sizeof(sun_path)", "sizeof(((struct sockaddr_un *)0)->sun_path)");
  for (const [struct, fields] of Object.entries(STRUCTS)) {
    put(`sizeof(${struct})`, `sizeof(struct ${struct})`);
    for (const field of fields) put(`${struct}.${field}`, `offsetof(struct ${struct}, ${field})`);
  }
  /** Initializes the length field at the start of BSD socket addresses. */
  const length = (field: string, value: string) => system.sockaddr.hasLength ? `.${field} = ${value}, ` : "";
  const unixLength = 'offsetof(struct sockaddr_un, sun_path) + sizeof "/a/path"';
  for (const size of CONTROL_SIZES) {
    put(`CMSG_LEN(${size})`, `CMSG_LEN(${size})`);
    put(`CMSG_SPACE(${size})`, `CMSG_SPACE(${size})`);
  }
  for (const fd of FD_SET_MEMBERS) lines.push(`FD_ZERO(&set); FD_SET(${fd}, &set); dump("fd_set ${fd}", &set, 128);`);
  return `
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <limits.h>
    #include <netdb.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <poll.h>
    #include <stddef.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/select.h>
    #include <sys/socket.h>
    #include <sys/types.h>
    #include <sys/un.h>
    #include <time.h>
    #include <arpa/inet.h>
    ${hasEpoll ? "#include <sys/epoll.h>" : ""}

    static void dump(const char *name, const void *bytes, size_t size) {
      printf("%s=", name);
      for (size_t index = 0; index < size; index++) printf("%02x", ((const unsigned char *)bytes)[index]);
      printf("\\n");
    }

    int main(void) {
      fd_set set;
      ${lines.join("\n")}

      struct timespec time = { .tv_sec = 1, .tv_nsec = 500250000 };
      dump("timespec 1500.25 ms", &time, sizeof time);

      struct pollfd pollfd = { .fd = 0x01020304, .events = 0x0506, .revents = 0x0708 };
      dump("pollfd", &pollfd, sizeof pollfd);

      struct sockaddr_in in = { ${length("sin_len", "sizeof in")}.sin_family = AF_INET, .sin_port = htons(8080) };
      inet_pton(AF_INET, "192.0.2.1", &in.sin_addr);
      dump("192.0.2.1:8080", &in, sizeof in);

      struct sockaddr_in6 in6 = { ${
    length("sin6_len", "sizeof in6")
  }.sin6_family = AF_INET6, .sin6_port = htons(8080) };
      inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
      dump("[2001:db8::1]:8080", &in6, sizeof in6);
      in6.sin6_scope_id = 258;
      in6.sin6_flowinfo = 0xffffffff;
      dump("[2001:db8::1%258]:8080", &in6, sizeof in6);

      struct sockaddr_un un = { ${length("sun_len", unixLength)}.sun_family = AF_UNIX, .sun_path = "/a/path" };
      dump("/a/path", &un, ${unixLength});

      _Alignas(16) char control[CMSG_SPACE(5) + CMSG_SPACE(4)] = { 0 };
      struct msghdr message = { .msg_control = control, .msg_controllen = sizeof control };
      struct cmsghdr *first = CMSG_FIRSTHDR(&message);
      first->cmsg_level = 0x01020304;
      first->cmsg_type = 0x05060708;
      first->cmsg_len = CMSG_LEN(5);
      memcpy(CMSG_DATA(first), "hello", 5);
      struct cmsghdr *second = CMSG_NXTHDR(&message, first);
      second->cmsg_level = SOL_SOCKET;
      second->cmsg_type = SCM_RIGHTS;
      second->cmsg_len = CMSG_LEN(4);
      memcpy(CMSG_DATA(second), "rest", 4);
      dump("two control messages", control, sizeof control);
      return 0;
    }
  `;
}

const answers = answersOf(program);

/** A C compiler. */
const CC = answers === null ? "there is no C compiler `cc` for this processor" : null;

const test = testNeeding(CC);

/** Returns a number that C printed. */
function c(name: string): number {
  return Number(cBytes(name));
}

/** Returns bytes that C printed, in hexadecimal digits. */
function cBytes(name: string): string {
  const answer = answers!.get(name);
  assert(answer !== undefined, `The program does not say ${name}`);
  return answer;
}

function hex(data: ArrayBufferView): string {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).toHex();
}

/** Returns the layout of a C struct with the package's field names. */
function layoutOf(struct: string, fields: Record<string, string>, withSize = true): Record<string, number> {
  const entries = Object.entries(fields).map(([name, field]) => [name, c(`${struct}.${field}`)]);
  return Object.fromEntries(withSize ? [["size", c(`sizeof(${struct})`)], ...entries] : entries);
}

describe("layouts", () => {
  declare("EPOLL_EVENT matches struct epoll_event", { needs: [EPOLL, CC] }, () => {
    assertEquals(epoll.EPOLL_EVENT, layoutOf("epoll_event", { events: "events", data: "data" }));
    assertEquals(c("epoll_event.data.fd"), epoll.EPOLL_EVENT.data);
  });

  test("PIPE_BUF has the value from limits.h", () => {
    assertEquals(system.PIPE_BUF, c("PIPE_BUF"));
  });

  test("POLLFD matches struct pollfd", () => {
    assertEquals(poll.POLLFD, layoutOf("pollfd", { fd: "fd", events: "events", revents: "revents" }));
    // The package stores both masks in one integer, with events in the lower half.
    assertEquals(cBytes("pollfd"), hex(new Int32Array([0x01020304, 0x0506 | 0x0708 << 16])));
  });

  test("ADDRINFO matches struct addrinfo", () => {
    const fields = Object.fromEntries(STRUCTS["addrinfo"]!.map((field) => [field, field]));
    assertEquals(ADDRINFO, layoutOf("addrinfo", fields) as typeof ADDRINFO);
  });

  test("SOCKADDR and SOCKADDR_IN match struct sockaddr_in", () => {
    const { family, port } = SOCKADDR;
    assertEquals({ family, port }, layoutOf("sockaddr_in", { family: "sin_family", port: "sin_port" }, false));
    assertEquals(SOCKADDR_IN, layoutOf("sockaddr_in", { sin_addr: "sin_addr" }));
  });

  test("SOCKADDR and SOCKADDR_IN6 match struct sockaddr_in6", () => {
    const { family, port } = SOCKADDR;
    assertEquals({ family, port }, layoutOf("sockaddr_in6", { family: "sin6_family", port: "sin6_port" }, false));
    const fields = { sin6_flowinfo: "sin6_flowinfo", sin6_addr: "sin6_addr", sin6_scope_id: "sin6_scope_id" };
    assertEquals(SOCKADDR_IN6, layoutOf("sockaddr_in6", fields));
  });

  test("SOCKADDR_UN matches struct sockaddr_un, including the longest path", () => {
    assertEquals(SOCKADDR.family, c("sockaddr_un.sun_family"));
    assertEquals(SOCKADDR_UN, layoutOf("sockaddr_un", { sun_path: "sun_path" }, false));
    const room = c("sizeof(sun_path)");
    assertEquals(SOCKADDR.sun_path, room);
    assertEquals(encodeUnix("x".repeat(room - 1)).length, c("sizeof(sockaddr_un)")); // and the terminating null byte
    assertThrows(() => encodeUnix("x".repeat(room)), RangeError, `longer than ${room - 1} bytes`);
    assertEquals(encodeUnix("\0" + "x".repeat(room - 1)).length, c("sizeof(sockaddr_un)"));
    assertThrows(() => encodeUnix("\0" + "x".repeat(room)), RangeError);
  });

  test("IOVEC, MSGHDR and CMSGHDR match struct iovec, msghdr and cmsghdr", () => {
    assertEquals(IOVEC, layoutOf("iovec", { iov_base: "iov_base", iov_len: "iov_len" }));
    const fields = Object.fromEntries(STRUCTS["msghdr"]!.map((field) => [field, field]));
    assertEquals(MSGHDR, layoutOf("msghdr", fields) as typeof MSGHDR);
    const { data, alignment, ...header } = CMSGHDR;
    assertEquals(
      header,
      layoutOf("cmsghdr", { cmsg_len: "cmsg_len", cmsg_level: "cmsg_level", cmsg_type: "cmsg_type" }) as typeof header,
    );
    assertEquals([data, alignment], [c("CMSG_LEN(0)"), c("CMSG_SPACE(1)") - c("CMSG_LEN(0)")]);
  });

  test("CMSG_LEN(), CMSG_SPACE() and encodeControl() agree with C", () => {
    for (const size of CONTROL_SIZES) {
      assertEquals([CMSG_LEN(size), CMSG_SPACE(size)], [c(`CMSG_LEN(${size})`), c(`CMSG_SPACE(${size})`)]);
    }
    const { SOL_SOCKET, SCM_RIGHTS } = constants;
    const control = encodeControl([[0x01020304, 0x05060708, bytes("hello")], [SOL_SOCKET, SCM_RIGHTS, bytes("rest")]]);
    assertEquals(hex(control), cBytes("two control messages"));
  });

  test("SOCKADDR_STORAGE_SIZE is large enough for every address", () => {
    assertEquals(constants.SOCKADDR_STORAGE_SIZE, c("sizeof(sockaddr_storage)"));
    assertEquals(SOCKADDR.family, c("sockaddr_storage.ss_family"));
    for (const struct of ["sockaddr_in", "sockaddr_in6", "sockaddr_un"]) {
      assertGreaterOrEqual(constants.SOCKADDR_STORAGE_SIZE, c(`sizeof(${struct})`));
    }
  });

  test("Timespec matches struct timespec, and rounds up to the next nanosecond", () => {
    const timespec = new Timespec();
    assertEquals(timespec.buffer.byteLength, c("sizeof(timespec)"));
    assertEquals(hex(timespec.set(1500.25)), cBytes("timespec 1500.25 ms"));
    assertEquals(timespec.set(1500.25), timespec.buffer);
    const fields = (ms: number) => {
      const view = new DataView(timespec.set(ms).buffer);
      const read = (at: number) => Number(view.getBigInt64(at, true));
      return [read(c("timespec.tv_sec")), read(c("timespec.tv_nsec"))];
    };
    assertEquals(fields(0), [0, 0]);
    assertEquals(fields(1e-6), [0, 1]);
    assertEquals(fields(1e-300), [0, 1]);
    assertEquals(fields(999), [0, 999_000_000]);
    assertEquals(fields(999.9999999), [1, 0]); // not 1,000,000,000 nanoseconds, which C rejects
    assertEquals(fields(1000), [1, 0]);
    assertEquals(fields(100_000_000_000 - 1), [99_999_999, 999_000_000]);
    assertEquals(fields(Number.MAX_VALUE), [100_000_000, 0]);
    assertEquals(fields(2.5), [0, 2_500_000]); // overwrites every byte of the previous value
  });

  test("C types have the sizes that the FFI declarations assume", () => {
    const sizes = Object.fromEntries(TYPES.map((type) => [type, c(`sizeof(${type})`)]));
    assertEquals(sizes, {
      "int": 4,
      "short": 2,
      "size_t": 8,
      "ssize_t": 8,
      "nfds_t": os === "linux" ? 8 : 4,
      "socklen_t": 4,
      "sa_family_t": os === "linux" || os === "android" ? 2 : 1,
      "void *": 8,
      "fd_set": c("FD_SETSIZE") / 8,
    });
  });

  test("fd_set stores its bits in the order of 32-bit words", () => {
    for (const fd of FD_SET_MEMBERS) {
      const words = new Int32Array(32);
      words[fd >>> 5] = 1 << (fd & 31);
      assertEquals(hex(words), cBytes(`fd_set ${fd}`), `Descriptor ${fd}`);
    }
  });

  declare("SelectSet sets the same bits as fd_set", { needs: [BITS, CC] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.send(bytes("ping"));
    for (const fd of [1504, 1505, 1511, 1512, 1534, 1535, 1536, 2047]) {
      assertEquals(libc!.dup2(here.fileno(), fd), fd);
      cleanup.defer(() => close(fd));
      const set = new SelectSet();
      set.set(fd, IN_READ | IN_WRITE);
      assertEquals(set.wait(0), 2);
      assertEquals(gathered(set, 2), [[fd, IN_READ | IN_WRITE]]);
    }
  });
});

describe("the other systems", () => {
  // From the systems' headers, as the libc crate and Go's syscall package repeat them; not copied from the package.
  declare("epoll_event is packed only on x86_64", () => {
    assertEquals(epoll.epollEventOf("x86_64"), { size: 12, events: 0, data: 4 });
    assertEquals(epoll.epollEventOf("aarch64"), { size: 16, events: 0, data: 8 });
  });

  declare("addrinfo has the name before the address on every system but glibc", () => {
    const systems: Os[] = ["linux", "darwin", "freebsd", "netbsd", "solaris", "illumos", "android", "windows"];
    const places = systems.map((system) => {
      const { size, ai_flags, ai_family, ai_socktype, ai_protocol, ai_addrlen, ai_next, ...rest } = addrinfoOf(
        SYSTEMS[system],
      );
      assertEquals([size, ai_flags, ai_family, ai_socktype, ai_protocol, ai_addrlen, ai_next], [
        48,
        0,
        4,
        8,
        12,
        16,
        40,
      ]);
      return [rest.ai_addr, rest.ai_canonname];
    });
    assertEquals(places, [[24, 32], ...Array.from({ length: 7 }, () => [32, 24])]);
  });

  declare("msghdr and cmsghdr have lengths of 64 bits on Linux alone", () => {
    const common = { msg_name: 0, msg_namelen: 8, msg_iov: 16, msg_iovlen: 24, msg_control: 32, msg_controllen: 40 };
    for (const system of ["linux", "android"] as const) {
      assertEquals(msghdrOf(SYSTEMS[system]), { ...common, msg_flags: 48, size: 56 });
      const header = { size: 16, cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 };
      assertEquals(cmsghdrOf(SYSTEMS[system]), { ...header, data: 16, alignment: 8 });
    }
    const dataAt = { darwin: 12, freebsd: 16, netbsd: arch === "x86_64" ? 16 : 12, solaris: 12, illumos: 12 };
    for (const [system, data] of Object.entries(dataAt)) {
      assertEquals(msghdrOf(SYSTEMS[system as Os]), { ...common, msg_flags: 44, size: 48 }, system);
      const header = { size: 12, cmsg_len: 0, cmsg_level: 4, cmsg_type: 8 };
      assertEquals(cmsghdrOf(SYSTEMS[system as Os]), { ...header, data, alignment: data === 16 ? 8 : 4 }, system);
    }
  });

  declare("the flags of a message have the numbers of each system", () => {
    const flags = (system: Os) => {
      const { MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_CMSG_CLOEXEC, SCM_RIGHTS } = SYSTEMS[system].constants;
      return [MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_CMSG_CLOEXEC, SCM_RIGHTS];
    };
    assertEquals(flags("linux"), [0x20, 0x8, 0x80, 0x4000_0000, 1]);
    assertEquals(flags("darwin"), [0x10, 0x20, 0x8, 0, 1]);
    assertEquals(flags("freebsd"), [0x10, 0x20, 0x8, 0x4_0000, 1]);
    assertEquals(flags("netbsd"), [0x10, 0x20, 0x8, 0x800, 1]);
    assertEquals(flags("solaris"), [0x20, 0x10, 0x8, 0, 1]);
  });

  declare("sockaddr begins with its length on the BSDs, and has their longest path", () => {
    for (const system of ["linux", "android", "solaris", "illumos", "windows"] as const) {
      assertEquals(sockaddrOf(SYSTEMS[system]), { family: 0, port: 2, sun_path: 108 });
    }
    for (const system of ["darwin", "freebsd", "netbsd"] as const) {
      assertEquals(sockaddrOf(SYSTEMS[system]), { family: 1, port: 2, sun_path: 104 });
    }
  });

  declare("errors have the numbers of each system", () => {
    const systems: Os[] = ["linux", "android", "darwin", "freebsd", "netbsd", "solaris", "illumos", "windows"];
    const numbers: Record<string, number[]> = {
      EINTR: [4, 4, 4, 4, 4, 4, 4, 10004],
      EBADF: [9, 9, 9, 9, 9, 9, 9, 10009],
      EAGAIN: [11, 11, 35, 35, 35, 11, 11, 10035],
      EINPROGRESS: [115, 115, 36, 36, 36, 150, 150, 10036],
      ENOTSOCK: [88, 88, 38, 38, 38, 95, 95, 10038],
      EADDRINUSE: [98, 98, 48, 48, 48, 125, 125, 10048],
      ECONNRESET: [104, 104, 54, 54, 54, 131, 131, 10054],
      ENOTCONN: [107, 107, 57, 57, 57, 134, 134, 10057],
      ETIMEDOUT: [110, 110, 60, 60, 60, 145, 145, 10060],
      ECONNREFUSED: [111, 111, 61, 61, 61, 146, 146, 10061],
      ENOSYS: [38, 38, 78, 78, 78, 89, 89, 0],
      EOPNOTSUPP: [95, 95, 102, 45, 45, 122, 122, 10045],
    };
    for (const [code, expected] of Object.entries(numbers)) {
      assertEquals(systems.map((system) => errnoOn(system, code)), expected, code);
    }
  });
});

describe("addresses", () => {
  test("encodeNumeric() and encodeUnix() return the same bytes as C", () => {
    assertEquals(hex(encodeNumeric(AF_INET, "192.0.2.1", 8080)!), cBytes("192.0.2.1:8080"));
    assertEquals(hex(encodeNumeric(AF_INET6, "2001:db8::1", 8080)!), cBytes("[2001:db8::1]:8080"));
    assertEquals(hex(encodeUnix("/a/path")), cBytes("/a/path"));
  });

  test("decodeAddress() reads the bytes of C", () => {
    const decoded = (name: string) => {
      const sockaddr = Uint8Array.fromHex(cBytes(name));
      return decodeAddress(sockaddr, sockaddr.length);
    };
    assertEquals(decoded("192.0.2.1:8080"), { hostname: "192.0.2.1", port: 8080 });
    assertEquals(decoded("[2001:db8::1]:8080"), { hostname: "2001:db8::1", port: 8080 });
    assertEquals(decoded("[2001:db8::1%258]:8080"), { hostname: "2001:db8::1%258", port: 8080 });
    assertEquals(decoded("/a/path"), { path: "/a/path" });
  });
});

describe("constants", () => {
  for (
    const [title, numbers, least] of [
      ["socket constants have C's values", socketConstants, 50],
      ["SHUT_RD, SHUT_WR and SHUT_RDWR have C's values", shutConstants, 3],
      ["POLL* have C's values", pollConstants, 12],
      ["error numbers have C's values", errnos, 60],
    ] as const
  ) {
    test(title, () => {
      assertGreaterOrEqual(numbers.length, least);
      const defined = numbers.filter(([name]) => answers!.has(name));
      assertEquals(Object.fromEntries(defined), Object.fromEntries(defined.map(([name]) => [name, c(name)])));
      const others = numbers.filter(([name]) => !answers!.has(name));
      if (os === "linux") assertEquals(others, []);
      for (const [name, value] of others) assert(UNDEFINED.includes(value), `${os} has no ${name}, which is ${value}`);
    });
  }

  declare("EPOLL* have C's values", { needs: [EPOLL, CC] }, () => {
    assertGreaterOrEqual(epollConstants.length, 19);
    // EPOLLET is bit 31, and must be positive.
    assertEquals(epollConstants, epollConstants.map(([name]) => [name, c(name)]));
  });

  test("OSError has the name of every error in C", () => {
    for (const [code] of errnos) {
      const error = new OSError("call", c(code));
      assertEquals([error.code, error.errno, error.syscall], [code, c(code), "call"]);
    }
    assertEquals(new OSError("call", c("EWOULDBLOCK")).code, "EAGAIN");
  });

  test("getaddrinfo() throws errors with C's names and numbers", () => {
    for (const [code, ask] of EAI_QUESTIONS) {
      const error = assertThrows(ask, OSError);
      assertEquals([error.code, error.errno], [code, c(code)]);
    }
    assertEquals([c("EAI_SYSTEM"), c("NI_MAXHOST")], [os === "linux" ? -11 : 11, 1025]);
  });

  test("setBlocking() sets the flag that C calls O_NONBLOCK", () => {
    using cleanup = new Cleanup();
    const [reader] = cleanup.pipe();
    const isNonBlocking = () => (libc!.fcntl(reader, c("F_GETFL")) & c("O_NONBLOCK")) !== 0;
    assertEquals(isNonBlocking(), false);
    setBlocking(reader, false);
    assertEquals(isNonBlocking(), true);
    setBlocking(reader, true);
    assertEquals(isNonBlocking(), false);
    assertGreater(c("O_NONBLOCK"), 0);
  });
});
