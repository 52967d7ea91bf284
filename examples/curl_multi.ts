/**
 * Downloads many URLs at once with libcurl. Its multi interface says which descriptors to wait for, and for how long.
 *
 * Shows how to use a C library that has callbacks: libcurl calls one function when it needs other events of a
 * descriptor, and another when it needs a new timeout. The program waits, and tells libcurl which descriptors are
 * ready. libcurl supports many protocols that `fetch` does not, such as FTP, SMB and MQTT.
 *
 * Install libcurl on 64-bit Linux (Debian package `libcurl4`). The example does not work on Apple silicon, where a
 * variadic C function such as `curl_easy_setopt` gets its arguments differently. The first argument is the timeout of
 * each download in seconds.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/curl-multi \
 *   10 https://deno.com https://example.com ftp://ftp.gnu.org
 * ```
 *
 * @module
 */

import { DefaultSelector } from "@selectors/selectors";

const CURL_GLOBAL_ALL = 3n;
const CURL_SOCKET_TIMEOUT = -1;
const CURL_POLL_REMOVE = 4; // 1, 2 and 3 are EVENT_READ, EVENT_WRITE and both
const CURLINFO_RESPONSE_CODE = 0x20_0002;
const CURLMSG_DONE = 1;
const CURLMOPT_SOCKETFUNCTION = 20_001;
const CURLMOPT_TIMERFUNCTION = 20_004;
const CURLOPT_WRITEDATA = 10_001;
const CURLOPT_URL = 10_002;
const CURLOPT_WRITEFUNCTION = 20_011;
const CURLOPT_NOSIGNAL = 99;
const CURLOPT_TIMEOUT_MS = 155;

/** struct CURLMsg { CURLMSG msg; CURL *easy_handle; union { void *whatever; CURLcode result; } data; } */
const CURLMsg = { msg: 0, easy_handle: 8, result: 16 };

const { symbols: libcurl } = Deno.dlopen("libcurl.so.4", {
  // CURLcode curl_global_init(long flags)
  curl_global_init: { parameters: ["i64"], result: "i32" },
  // CURLM *curl_multi_init(void)
  curl_multi_init: { parameters: [], result: "pointer" },
  // CURLMcode curl_multi_setopt(CURLM *multi_handle, CURLMoption option, ...)
  curl_multi_setopt: { parameters: ["pointer", "i32", "pointer"], result: "i32" },
  // CURL *curl_easy_init(void)
  curl_easy_init: { parameters: [], result: "pointer" },
  // CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
  set_number: { name: "curl_easy_setopt", parameters: ["pointer", "i32", "i64"], result: "i32" },
  set_string: { name: "curl_easy_setopt", parameters: ["pointer", "i32", "buffer"], result: "i32" },
  set_pointer: { name: "curl_easy_setopt", parameters: ["pointer", "i32", "pointer"], result: "i32" },
  // CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...)
  curl_easy_getinfo: { parameters: ["pointer", "i32", "buffer"], result: "i32" },
  // const char *curl_easy_strerror(CURLcode)
  curl_easy_strerror: { parameters: ["i32"], result: "pointer" },
  // CURLMcode curl_multi_add_handle(CURLM *multi_handle, CURL *curl_handle)
  curl_multi_add_handle: { parameters: ["pointer", "pointer"], result: "i32" },
  // CURLMcode curl_multi_remove_handle(CURLM *multi_handle, CURL *curl_handle)
  curl_multi_remove_handle: { parameters: ["pointer", "pointer"], result: "i32" },
  // void curl_easy_cleanup(CURL *curl)
  curl_easy_cleanup: { parameters: ["pointer"], result: "void" },
  // CURLMcode curl_multi_cleanup(CURLM *multi_handle)
  curl_multi_cleanup: { parameters: ["pointer"], result: "i32" },
  // CURLMcode curl_multi_socket_action(CURLM *multi_handle, curl_socket_t s, int ev_bitmask, int *running_handles)
  curl_multi_socket_action: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  // CURLMsg *curl_multi_info_read(CURLM *multi_handle, int *msgs_in_queue)
  curl_multi_info_read: { parameters: ["pointer", "buffer"], result: "pointer" },
});

/** Downloads by the addresses of their easy handles. */
const downloads = new Map<bigint, { url: string; length: number }>();
const [seconds = "30", ...urls] = Deno.args;
const started = performance.now();
const scratch = new Int32Array(2); // for results that C functions write through a pointer
let deadline = Infinity;
using selector = new DefaultSelector<undefined, number>(); // getMap() is null only after close()

// int socket_callback(CURL *easy, curl_socket_t s, int what, void *clientp, void *socketp)
const onSocket = new Deno.UnsafeCallback(
  { parameters: ["pointer", "i32", "i32", "pointer", "pointer"], result: "i32" },
  (_easy, fd, what) => {
    // Not modify(): the number may now belong to another socket, which the kernel does not watch yet.
    if (selector.getMap()!.has(fd)) selector.unregister(fd);
    if (what !== CURL_POLL_REMOVE) selector.register(fd, what);
    return 0;
  },
);
// int timer_callback(CURLM *multi, long timeout_ms, void *clientp)
const onTimer = new Deno.UnsafeCallback({ parameters: ["pointer", "i64", "pointer"], result: "i32" }, (_multi, ms) => {
  deadline = ms < 0 ? Infinity : performance.now() + Number(ms);
  return 0;
});
// size_t write_callback(char *ptr, size_t size, size_t nmemb, void *userdata)
const onData = new Deno.UnsafeCallback(
  { parameters: ["pointer", "usize", "usize", "pointer"], result: "usize" },
  (_data, _size, length, easy) => {
    downloads.get(Deno.UnsafePointer.value(easy))!.length += Number(length);
    return length;
  },
);

libcurl.curl_global_init(CURL_GLOBAL_ALL);
const multi = libcurl.curl_multi_init();
libcurl.curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, onSocket.pointer);
libcurl.curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, onTimer.pointer);
for (const url of urls) download(url);
while (downloads.size > 0) {
  const ready = await selector.selectAsync(Math.max(0, deadline - performance.now()) / 1000);
  for (const [{ fd }, events] of ready) {
    if (selector.getMap()!.has(fd)) libcurl.curl_multi_socket_action(multi, fd, events, scratch);
  }
  if (performance.now() >= deadline) {
    deadline = Infinity; // before the call, because the call may set a new deadline
    libcurl.curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, scratch);
  }
  for (let message; (message = libcurl.curl_multi_info_read(multi, scratch)) !== null;) {
    const view = new Deno.UnsafePointerView(message);
    if (view.getInt32(CURLMsg.msg) === CURLMSG_DONE) {
      finish(view.getPointer(CURLMsg.easy_handle), view.getInt32(CURLMsg.result));
    }
  }
}
libcurl.curl_multi_cleanup(multi); // closes idle connections, and calls onSocket for each
for (const callback of [onSocket, onTimer, onData]) callback.close();
console.log(`${urls.length} downloads in ${Math.round(performance.now() - started)} ms`);

function download(url: string): void {
  const easy = libcurl.curl_easy_init();
  downloads.set(Deno.UnsafePointer.value(easy), { url, length: 0 });
  libcurl.set_string(easy, CURLOPT_URL, new TextEncoder().encode(`${url}\0`)); // libcurl copies it
  libcurl.set_number(easy, CURLOPT_NOSIGNAL, 1n); // keeps libcurl from installing signal handlers
  libcurl.set_number(easy, CURLOPT_TIMEOUT_MS, BigInt(1000 * Number(seconds)));
  libcurl.set_pointer(easy, CURLOPT_WRITEFUNCTION, onData.pointer);
  libcurl.set_pointer(easy, CURLOPT_WRITEDATA, easy);
  libcurl.curl_multi_add_handle(multi, easy);
}

function finish(easy: Deno.PointerValue, code: number): void {
  libcurl.curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, scratch);
  const { url, length } = downloads.get(Deno.UnsafePointer.value(easy))!;
  const error = code === 0 ? "" : `, ${Deno.UnsafePointerView.getCString(libcurl.curl_easy_strerror(code)!)}`;
  console.log(`${url}: ${scratch[0]}, ${length} bytes${error}`);
  downloads.delete(Deno.UnsafePointer.value(easy));
  libcurl.curl_multi_remove_handle(multi, easy);
  libcurl.curl_easy_cleanup(easy);
}
